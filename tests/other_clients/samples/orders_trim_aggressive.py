# Enable aggressive trimming
r.xadd('orders', message, maxlen=1000, approximate=True)

# Or trim periodically
r.xtrim('orders', maxlen=10000, approximate=True)
