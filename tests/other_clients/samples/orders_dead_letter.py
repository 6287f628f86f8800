def process_with_dlq(stream, group, consumer, message_id, message_data):
    """Process with retry tracking and DLQ"""
    try:
        # Check retry count
        retry_count = int(message_data.get('retry_count', 0))

        if retry_count >= 3:
            # Max retries reached, move to DLQ
            r.xadd('orders_dlq', {
                **message_data,
                'failed_at': time.time(),
                'reason': 'max_retries_exceeded'
            })
            r.xack(stream, group, message_id)
            return

        # Process message
        process_order(message_data)
        r.xack(stream, group, message_id)

    except RecoverableError as e:
        # Increment retry count and requeue
        r.xadd(stream, {
            **message_data,
            'retry_count': retry_count + 1
        })
        r.xack(stream, group, message_id)  # Ack original

    except UnrecoverableError as e:
        # Move to DLQ immediately
        r.xadd('orders_dlq', {
            **message_data,
            'failed_at': time.time(),
            'reason': str(e)
        })
        r.xack(stream, group, message_id)
