# Keep approximately last 10K messages
r.xadd(
    'orders',
    message,
    maxlen=10000,  # Approximate (more efficient)
)

# Or trim explicitly
r.xtrim('orders', maxlen=10000, approximate=True)
