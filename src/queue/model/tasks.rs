//! Tasks of processes, in the world's time. What runs here is written as the real tasks are.

use super::net::Call;
use super::wire::{Answer, Command};
use super::world::{Event, World};
use std::cell::{RefCell, RefMut};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The world, and what is new in it.
#[derive(Clone)]
pub(super) struct Sim {
    world: Rc<RefCell<World>>,
    born: Rc<RefCell<Vec<(usize, Task)>>>,
}

impl Sim {
    pub(super) fn new(world: World) -> Self {
        Self { world: Rc::new(RefCell::new(world)), born: Rc::default() }
    }

    pub(super) fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// One more task of a process.
    pub(super) fn spawn(&self, actor: usize, task: impl Future<Output = ()> + 'static) {
        self.born.borrow_mut().push((actor, Box::pin(task)));
        self.world().stir(actor);
    }

    /// The time by the clock of a process.
    pub(super) fn clock(&self, actor: usize) -> Instant {
        self.world().clock(actor)
    }

    pub(super) async fn sleep(&self, actor: usize, time: Duration) {
        let until = self.clock(actor) + time;
        self.wait(actor, Some(until), || false).await;
    }

    /// Until something is so, or the clock shows this.
    pub(super) async fn wait(
        &self,
        actor: usize,
        until: Option<Instant>,
        is_so: impl Fn() -> bool,
    ) {
        if let Some(until) = until {
            let mut world = self.world();
            let time = world.true_time(actor, until);
            world.at(time, Event::Poll(actor));
        }
        let over = || until.is_some_and(|until| self.clock(actor) >= until);
        poll(|| (is_so() || over()).then_some(())).await;
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call(&self, link: usize, commands: Vec<Command>) -> Answer {
        let call = self.world().send(link, commands);
        let called = Called { sim: self, link, call };
        poll(|| called.sim.world().take_answer(call)).await
    }

    /// As [`Sim::call`], for so long; `None` if it took longer.
    pub(super) async fn call_for(
        &self,
        actor: usize,
        link: usize,
        commands: Vec<Command>,
        limit: Duration,
    ) -> Option<Answer> {
        let until = self.clock(actor) + limit;
        let call = self.world().send(link, commands);
        let called = Called { sim: self, link, call };
        let answer = RefCell::new(None);
        self.wait(actor, Some(until), || {
            let come = called.sim.world().take_answer(call);
            *answer.borrow_mut() = come;
            answer.borrow().is_some()
        })
        .await;
        answer.take()
    }

    /// Lives on until it is over.
    pub(super) fn run(&self, is_over: impl Fn() -> bool) {
        let mut tasks: Vec<Vec<Task>> = Vec::new();
        while !is_over() {
            for (actor, task) in self.born.take() {
                tasks.resize_with(tasks.len().max(actor + 1), Vec::new);
                tasks[actor].push(task);
            }
            let mut world = self.world();
            match world.pop() {
                Some(Event::Poll(actor)) => {
                    drop(world);
                    self.look(actor, &mut tasks);
                }
                Some(event) => world.happen(event),
                None => return,
            }
        }
        drop(self.born.take());
    }

    /// All tasks of a process look, in any order.
    fn look(&self, actor: usize, tasks: &mut [Vec<Task>]) {
        let mut cx = Context::from_waker(Waker::noop());
        let Some(tasks) = tasks.get_mut(actor) else { return };
        if self.world().may_look(actor) {
            let first = self.world().rng.usize(..=tasks.len());
            tasks.rotate_left(first);
            tasks.retain_mut(|task| {
                let alive = self.world().is_alive(actor);
                alive && task.as_mut().poll(&mut cx).is_pending()
            });
        }
        let alive = self.world().is_alive(actor);
        if !alive {
            tasks.clear();
        }
    }
}

/// A request whose answer somebody waits for.
struct Called<'a> {
    sim: &'a Sim,
    link: usize,
    call: Call,
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        self.sim.world().forget(self.link, self.call);
    }
}

/// Looks whenever the process does, until there is something.
pub(super) async fn poll<T>(look: impl Fn() -> Option<T>) -> T {
    std::future::poll_fn(|_| look().map_or(Poll::Pending, Poll::Ready)).await
}
