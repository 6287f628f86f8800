# Debug info
print(f"Stream length: {r.xlen('orders')}")
print(f"Groups: {r.xinfo_groups('orders')}")
print(f"Consumers: {r.xinfo_consumers('orders', 'order-processors')}")
