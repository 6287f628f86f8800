# Get pending messages for consumer
pending = r.xpending_range(
    'orders',
    'order-processors',
    min='-',
    max='+',
    count=100,
    consumername=consumer_name
)

for msg in pending:
    message_id = msg['message_id']
    consumer = msg['consumer']
    time_since_delivery = msg['time_since_delivered']
    delivery_count = msg['times_delivered']

    print(f"Pending: {message_id}, {time_since_delivery}ms, {delivery_count} deliveries")
