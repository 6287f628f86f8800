# Keep messages from last 7 days
import time

seven_days_ago = int((time.time() - 7 * 24 * 3600) * 1000)
min_id = f"{seven_days_ago}-0"

r.xtrim('orders', minid=min_id, approximate=True)
