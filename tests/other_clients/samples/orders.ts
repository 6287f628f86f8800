import Redis from 'ioredis'

const redis = new Redis({
  host: 'localhost',
  port: 6379,
})

// Producer
async function publishMessage(stream: string, message: object) {
  const messageId = await redis.xadd(
    stream,
    'MAXLEN',
    '~', // Approximate trimming
    '10000',
    '*', // Auto-generate ID
    ...Object.entries(message).flat()
  )
  return messageId
}

// Consumer with consumer group
async function consumeMessages(
  stream: string,
  group: string,
  consumer: string
) {
  while (true) {
    const messages = await redis.xreadgroup(
      'GROUP',
      group,
      consumer,
      'COUNT',
      '10',
      'BLOCK',
      '5000',
      'STREAMS',
      stream,
      '>'
    )

    if (messages) {
      for (const [streamName, streamMessages] of messages) {
        for (const [messageId, messageFields] of streamMessages) {
          try {
            // Convert array to object
            const message = {}
            for (let i = 0; i < messageFields.length; i += 2) {
              message[messageFields[i]] = messageFields[i + 1]
            }

            await processMessage(message)
            await redis.xack(stream, group, messageId)
          } catch (err) {
            console.error(`Error processing ${messageId}:`, err)
          }
        }
      }
    }
  }
}

// Create consumer group
try {
  await redis.xgroup('CREATE', 'orders', 'processors', '0', 'MKSTREAM')
} catch (err) {
  // Group already exists
}

await consumeMessages('orders', 'processors', 'worker-1')
