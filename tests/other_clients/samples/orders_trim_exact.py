# Keep exactly last 10K messages
r.xadd(
    'orders',
    message,
    maxlen=10000,
    approximate=False
)
