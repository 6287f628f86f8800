import redis
from redis.connection import ConnectionPool

# Connection pool for better performance
pool = ConnectionPool(
    host='localhost',
    port=6379,
    db=0,
    max_connections=10,
    decode_responses=True
)

r = redis.Redis(connection_pool=pool)

# Publish with trimming
def publish_message(stream, message, maxlen=10000):
    """Publish with automatic trimming"""
    message_id = r.xadd(
        stream,
        message,
        maxlen=maxlen,
        approximate=True
    )
    return message_id
