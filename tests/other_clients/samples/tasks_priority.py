# Use multiple streams for priorities
HIGH_PRIORITY = 'tasks:high'
NORMAL_PRIORITY = 'tasks:normal'
LOW_PRIORITY = 'tasks:low'

# Consumer reads in priority order
while True:
    # Try high priority first
    messages = r.xreadgroup(
        'task-processors',
        consumer_name,
        {HIGH_PRIORITY: '>'},
        count=10,
        block=100  # Short timeout
    )

    if messages:
        process_messages(messages)
        continue

    # Then normal priority
    messages = r.xreadgroup(
        'task-processors',
        consumer_name,
        {NORMAL_PRIORITY: '>'},
        count=10,
        block=100
    )

    if messages:
        process_messages(messages)
        continue

    # Finally low priority
    messages = r.xreadgroup(
        'task-processors',
        consumer_name,
        {LOW_PRIORITY: '>'},
        count=10,
        block=5000
    )

    if messages:
        process_messages(messages)
