//! Work with a [`Consumer`]: jobs are pulled and settled one by one.

use crate::attempt::{AttemptEnd, Setup};
use crate::job::Fields;
use bourn::queue::{Acked, Consumer, Delivery, Nack};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

impl Setup {
    /// Works until the worker is stopped.
    pub(crate) async fn pull(
        &self,
        concurrency: usize,
        grace: Duration,
        leave: impl Future<Output = ()>,
    ) -> &'static str {
        let mut leave = pin!(leave);
        let mut consumer = tokio::select! {
            consumer = self.consumer() => consumer,
            () = &mut leave => return "before it started",
        };
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut leave => break,
                Some(_) = running.join_next() => {}
                next = consumer.next(), if running.len() < concurrency => match next {
                    Some(Ok(delivery)) => {
                        let setup = self.clone();
                        running.spawn(async move { setup.decide(delivery).await });
                    }
                    end => {
                        self.log.write(format_args!("wrong stopped with {:?}", end.map(|end| end.err())));
                        break;
                    }
                },
            }
        }
        let all = async { while running.join_next().await.is_some() {} };
        if timeout(grace, all).await.is_err() {
            running.shutdown().await;
        }
        consumer.close().await;
        "after SIGTERM"
    }

    async fn consumer(&self) -> Consumer<Fields> {
        loop {
            match self.queue.consumer().prefetch(2).start().await {
                Ok(consumer) => return consumer,
                Err(error) => println!("{error:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn decide(&self, delivery: Delivery<Fields>) {
        let (id, attempt) = (delivery.original_id(), delivery.attempt());
        let came = tokio::select! {
            biased;
            // The delivery is dropped: the lease is lost, so nothing can be settled.
            () = delivery.lease().lost() => return,
            came = self.attempt(id, attempt, delivery.payload(), delivery.lease()) => came,
        };
        let settled = match came {
            AttemptEnd::Done => match delivery.ack().await {
                Ok(Acked::Done) => {
                    self.log.write(format_args!("acked {id} {attempt}"));
                    Ok(())
                }
                other => other.map(drop),
            },
            AttemptEnd::Later(time) => delivery.nack(Nack::after(time).because("not yet")).await,
            AttemptEnd::Failed => delivery.nack(Nack::policy().because("never")).await,
        };
        if let Err(error) = settled {
            println!("{id}: {error:?}");
        }
    }
}
