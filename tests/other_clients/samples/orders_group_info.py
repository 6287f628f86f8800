# Get consumer group info
groups = r.xinfo_groups('orders')
for group in groups:
    print(f"Group: {group['name']}")
    print(f"Consumers: {group['consumers']}")
    print(f"Pending: {group['pending']}")
    print(f"Last delivered: {group['last-delivered-id']}")

# Get consumer info
consumers = r.xinfo_consumers('orders', 'order-processors')
for consumer in consumers:
    print(f"Consumer: {consumer['name']}")
    print(f"Pending: {consumer['pending']}")
    print(f"Idle: {consumer['idle']} ms")
