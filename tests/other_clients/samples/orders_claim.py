# Claim messages pending for > 60 seconds
stale_messages = r.xautoclaim(
    'orders',
    'order-processors',
    consumer_name,
    min_idle_time=60000,  # 60 seconds in milliseconds
    start='0-0',
    count=10
)

for message_id, message_data in stale_messages[1]:
    print(f"Reclaiming stale message: {message_id}")
    try:
        process_order(message_data)
        r.xack('orders', 'order-processors', message_id)
    except Exception as e:
        print(f"Failed again: {e}")
