import redis
import json
import time

# Connect to Redis
r = redis.Redis(host='localhost', port=6379, decode_responses=True)

# Producer: Add message to stream
message = {
    'order_id': 'ord_123',
    'customer_id': 'cus_456',
    'total': 99.99
}

message_id = r.xadd(
    'orders',  # Stream name
    message,  # Message data (dict)
    maxlen=10000  # Keep last 10K messages
)

print(f"Message ID: {message_id}")

# Consumer: Read from stream
last_id = '0'  # Start from beginning
while True:
    messages = r.xread(
        {'orders': last_id},
        count=10,  # Batch size
        block=5000  # Block for 5 seconds
    )

    for stream_name, stream_messages in messages:
        for message_id, message_data in stream_messages:
            print(f"Processing: {message_data}")
            process_order(message_data)
            last_id = message_id  # Update position
