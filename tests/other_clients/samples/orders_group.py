import redis
import json

r = redis.Redis(host='localhost', port=6379, decode_responses=True)

# Create consumer group (once)
try:
    r.xgroup_create(
        'orders',  # Stream name
        'order-processors',  # Group name
        id='0',  # Start from beginning
        mkstream=True  # Create stream if not exists
    )
except redis.exceptions.ResponseError:
    pass  # Group already exists

# Consumer: Read from group
consumer_name = 'worker-1'

while True:
    # Read new messages
    messages = r.xreadgroup(
        'order-processors',  # Group name
        consumer_name,  # Consumer name
        {'orders': '>'},  # '>' means new messages
        count=10,  # Batch size
        block=5000  # Block for 5 seconds
    )

    for stream_name, stream_messages in messages:
        for message_id, message_data in stream_messages:
            try:
                process_order(message_data)

                # Acknowledge message
                r.xack('orders', 'order-processors', message_id)

            except Exception as e:
                print(f"Error processing {message_id}: {e}")
                # Message stays in pending entries list
