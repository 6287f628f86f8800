import redis
import time
import uuid

# Configuration
REDIS_HOST = 'localhost'
REDIS_PORT = 6379
STREAM_NAME = 'task_queue'

# Connect to Redis
redis_client = redis.Redis(host=REDIS_HOST, port=REDIS_PORT, decode_responses=True)


def enqueue_task(task_data):
    task_id = str(uuid.uuid4())
    message = {'task_id': task_id, 'data': task_data, 'created_at': str(time.time())}
    message_id = redis_client.xadd(STREAM_NAME, message, maxlen=1000, approximate=True) # Trimming to 1000 messages
    print(f"Enqueued task with ID: {task_id}, message ID: {message_id}")
    return task_id

if __name__ == '__main__':
    for i in range(5):
        task_data = f"Process this data: {i}"
        enqueue_task(task_data)
        time.sleep(1) # Simulate some delay
