from prometheus_client import Counter, Gauge, Histogram
import time

messages_processed = Counter('redis_streams_processed', 'Total', ['stream'])
processing_duration = Histogram('redis_streams_duration_seconds', 'Duration', ['stream'])
stream_length = Gauge('redis_streams_length', 'Length', ['stream'])
pending_messages = Gauge('redis_streams_pending', 'Pending', ['stream', 'group', 'consumer'])

def monitored_consumer():
    while True:
        start_time = time.time()

        messages = r.xreadgroup(
            'order-processors',
            consumer_name,
            {'orders': '>'},
            count=10,
            block=5000
        )

        for stream_name, stream_messages in messages:
            for message_id, message_data in stream_messages:
                process_order(message_data)
                r.xack('orders', 'order-processors', message_id)

                # Metrics
                messages_processed.labels(stream='orders').inc()
                processing_duration.labels(stream='orders').observe(
                    time.time() - start_time
                )

        # Update stream length
        stream_length.labels(stream='orders').set(r.xlen('orders'))

        # Update pending count
        pending = r.xpending('orders', 'order-processors')
        pending_messages.labels(
            stream='orders',
            group='order-processors',
            consumer=consumer_name
        ).set(pending['pending'])
