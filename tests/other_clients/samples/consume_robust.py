# Consumer with error handling
def consume_messages(stream, group, consumer, batch_size=10, block_ms=5000):
    """Robust consumer implementation"""
    try:
        messages = r.xreadgroup(
            group,
            consumer,
            {stream: '>'},
            count=batch_size,
            block=block_ms
        )

        for stream_name, stream_messages in messages:
            for message_id, message_data in stream_messages:
                try:
                    process_message(message_data)
                    r.xack(stream, group, message_id)
                except Exception as e:
                    # Log error, message stays in PEL
                    print(f"Error: {e}")

    except redis.exceptions.ConnectionError:
        # Handle connection errors
        print("Connection error, reconnecting...")
        time.sleep(1)
