// BullMQ: `on_bullmq.cjs enqueue`, `on_bullmq.cjs work`.
const { Queue, Worker } = require("bullmq");
const { writeSync } = require("node:fs");

const jobs = Number(process.env.QUEUES_JOBS);
const tuned = process.env.QUEUES_SETTING !== "defaults";
const connection = { port: Number(new URL(process.env.QUEUES_URL).port), host: "127.0.0.1" };
const mark = (which) => writeSync(1, `bench ${which} ${process.hrtime.bigint()}\n`);

async function enqueue() {
  const queue = new Queue("noop", { connection });
  for (let start = 0; start < jobs; start += 1000) {
    const length = Math.min(1000, jobs - start);
    await queue.addBulk(Array.from({ length }, (_, i) => ({ name: "noop", data: { number: start + i } })));
  }
  await queue.close();
}

function work() {
  let started = 0;
  const noop = async () => {
    started += 1;
    if (started === 1) mark("first");
    if (started === jobs) mark("last");
  };
  const best = { concurrency: 64, removeOnComplete: { count: 0 }, removeOnFail: { count: 1000 } };
  const worker = new Worker("noop", noop, { connection, ...(tuned ? best : {}) });
  worker.on("error", (error) => console.error(error));
  process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));
}

if (process.argv[2] === "enqueue") enqueue();
else work();
