# Check pending messages
pending_summary = r.xpending('orders', 'order-processors')
print(f"Pending: {pending_summary['pending']}")

# Claim stale messages
stale = r.xautoclaim('orders', 'order-processors', consumer_name, 60000, '0-0')
