# Get stream length
length = r.xlen('orders')
print(f"Stream length: {length}")

# Get stream info
info = r.xinfo_stream('orders')
print(f"Length: {info['length']}")
print(f"First ID: {info['first-entry'][0]}")
print(f"Last ID: {info['last-entry'][0]}")
print(f"Consumer groups: {info['groups']}")
