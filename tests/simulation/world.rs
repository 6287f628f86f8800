//! All parts of a history: the server, the processes, the truth about the jobs, and the tale.

use crate::ledger::{Fate, Ledger, Place};
use crate::link::Link;
use crate::process::Process;
use crate::scene::Scene;
use bourn::EntryId;
use bourn::queue::{Enqueue, QueueError, Redrive};
use bourn::resp::Value;
use bourn::testing::{Request, Server};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// The fields of a job: its number.
pub(crate) type Payload = Vec<(String, String)>;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) server: Server,
    ledger: Mutex<Ledger>,
    processes: Mutex<Vec<Arc<Process>>>,
    /// Producers and operators that are at work.
    busy: AtomicUsize,
    links: Mutex<Vec<Arc<Link>>>,
    /// The letters, and their queues, that the server had after each loss of its last writes.
    restored: Mutex<Vec<(usize, Letter)>>,
    tale: Option<Mutex<Vec<String>>>,
    /// The number of requests that the tale contains.
    told: AtomicUsize,
    start: Instant,
}

/// A dead letter, as the server has it.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) id: EntryId,
    pub(crate) job: usize,
    pub(crate) group: String,
    pub(crate) attempts: u32,
}

impl World {
    pub(crate) fn new(scene: Scene, tells: bool) -> Arc<Self> {
        // 2026-01-01: ids and idle times are the same in each run.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let server = Server::builder().version(scene.version).time(time).build();
        server.set_latency(scene.latency);
        Arc::new(Self {
            ledger: Mutex::new(Ledger::new(&scene)),
            scene,
            server,
            processes: Mutex::default(),
            busy: AtomicUsize::new(0),
            links: Mutex::default(),
            restored: Mutex::default(),
            tale: tells.then(Mutex::default),
            told: AtomicUsize::new(0),
            start: Instant::now(),
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic")
    }

    pub(crate) fn fate(&self, place: Place, change: impl FnOnce(&mut Fate)) {
        change(self.ledger().fates.entry(place).or_default());
    }

    /// Returns the time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn log(&self, text: impl FnOnce() -> String) {
        if let Some(tale) = &self.tale {
            self.tell_requests();
            let line = format!("{:>10.3} {}", self.now().as_secs_f64(), text());
            tale.lock().expect("no panic").push(line);
        }
    }

    /// Adds the requests that the server took since the last event.
    fn tell_requests(&self) {
        let Some(tale) = self.tale.as_ref().filter(|_| std::env::var("BOURN_REQUESTS").is_ok())
        else {
            return;
        };
        let line = |request: &Request| {
            let words = request.args().iter().map(|arg| arg.escape_ascii().to_string());
            format!("{:>16} {}", request.connection(), words.collect::<Vec<_>>().join(" "))
        };
        let requests = self.server.requests();
        let told = self.told.swap(requests.len(), Relaxed);
        let lines = requests.iter().skip(told).map(line);
        tale.lock().expect("no panic").extend(lines);
    }

    pub(crate) fn tale(&self) -> Vec<String> {
        self.tell_requests();
        self.tale.as_ref().map_or_else(Vec::new, |tale| tale.lock().expect("no panic").clone())
    }

    /// A job may be run again because of what happens now.
    pub(crate) fn disturb(&self) {
        let now = self.now();
        self.ledger().disturbed = Some(now);
    }

    /// A job may be run by two at once, from now on for a time.
    pub(crate) fn excuse(&self, time: Duration) {
        let until = self.now() + time;
        self.ledger().excuse(until);
    }

    pub(crate) fn start(self: &Arc<Self>, group: usize) {
        let mut processes = self.processes.lock().expect("no panic");
        let id = processes.len();
        processes.push(Process::start(self, id, group));
    }

    fn alive(&self) -> Vec<Arc<Process>> {
        let processes = self.processes.lock().expect("no panic");
        processes.iter().filter(|process| process.is_alive()).cloned().collect()
    }

    /// Returns a process, if there is any.
    pub(crate) fn choose(&self, choice: u64) -> Option<Arc<Process>> {
        let alive = self.alive();
        let index = usize::try_from(choice).unwrap_or(0).checked_rem(alive.len())?;
        alive.get(index).cloned()
    }

    /// Returns the network of a process, or of a producer or an operator.
    pub(crate) fn choose_link(&self, choice: u64) -> Option<Arc<Link>> {
        let mut links = self.links.lock().expect("no panic").clone();
        links.extend(self.alive().iter().map(|process| Arc::clone(&process.link)));
        let index = usize::try_from(choice).unwrap_or(0).checked_rem(links.len())?;
        links.get(index).cloned()
    }

    /// Starts workers until each group has enough.
    pub(crate) fn keep(self: &Arc<Self>) {
        for group in 0..self.scene.groups.len() {
            let alive = self.alive().iter().filter(|process| process.group == group).count();
            (alive..self.scene.workers).for_each(|_| self.start(group));
        }
    }

    /// Drops all processes.
    pub(crate) fn end(&self) {
        let processes = std::mem::take(&mut *self.processes.lock().expect("no panic"));
        processes
            .iter()
            .filter(|process| process.is_alive())
            .for_each(|process| process.kill(false));
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    /// Runs a producer or an operator, with a network of its own.
    fn spawn<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>, Arc<Link>) -> F,
    ) {
        let link = Arc::<Link>::default();
        self.links.lock().expect("no panic").push(Arc::clone(&link));
        self.busy.fetch_add(1, Relaxed);
        let (world, work) = (Arc::clone(self), work(Arc::clone(self), Arc::clone(&link)));
        tokio::spawn(async move {
            work.await;
            world.links.lock().expect("no panic").retain(|other| !Arc::ptr_eq(other, &link));
            world.busy.fetch_sub(1, Relaxed);
        });
    }

    /// Enqueues all jobs: one producer each those of its queue.
    pub(crate) fn produce(self: &Arc<Self>) {
        for queue in 0..self.scene.queues.len() {
            self.spawn(|world, link| async move { world.enqueue_all(&link, queue).await });
        }
    }

    async fn enqueue_all(self: &Arc<Self>, link: &Arc<Link>, number: usize) {
        let client = self.client(link).await.expect("the settings are right");
        let mut queue = None;
        // A group that does not exist yet would not get what the others have done.
        for group in &self.scene.groups {
            queue = match self.open(&client, number, group).await {
                Ok(queue) => Some(queue),
                Err(error) => return self.ledger().wrong.push(format!("a producer: {error}")),
            };
        }
        let queue = queue.expect("a group");
        let producer = queue.producer();
        let jobs = self.scene.jobs.iter().enumerate().filter(|(_, job)| job.queue == number);
        for (number, job) in jobs {
            sleep(job.pause).await;
            let payload = vec![("job".to_owned(), number.to_string())];
            loop {
                self.tries(number);
                let unique = self.scene.unique;
                let options = if unique {
                    Enqueue::new().unique(format!("job-{number}"))
                } else {
                    Enqueue::new()
                };
                let result = producer.enqueue_with(&payload, options).await;
                self.log(|| format!("enqueue job {number}: {result:?}"));
                let mut ledger = self.ledger();
                match result {
                    Ok(id) => {
                        if !ledger.confirm(job.queue, id, number) {
                            for group in 0..self.scene.groups.len() {
                                ledger.fates.entry((group, number)).or_default().gone = true;
                            }
                        }
                    }
                    Err(error) if error.may_have_run() && !unique => {
                        ledger.sent[number].unknown += 1;
                    }
                    // The server cannot do it.
                    Err(QueueError::Settings(_)) => {}
                    Err(_) => {
                        drop(ledger);
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                }
                break;
            }
        }
    }

    fn tries(&self, job: usize) {
        let mut ledger = self.ledger();
        ledger.sent[job].tried += 1;
        for group in 0..self.scene.groups.len() {
            ledger.fates.entry((group, job)).or_default().gone = false;
        }
    }

    /// Returns the jobs in the stream of a queue.
    fn waiting(&self, queue: usize) -> BTreeSet<usize> {
        let stream = &self.scene.queues[queue].stream;
        let mut waiting = self.entries(stream);
        for class in ["1m", "1h", "1d", "long"] {
            for wheel in self.wheels(stream) {
                waiting.extend(self.entries(&format!("{wheel}:jobs:{class}")));
            }
        }
        waiting.into_iter().filter_map(|(_, fields)| job(&fields)).collect()
    }

    /// Returns the prefixes of the keys in which the delayed jobs of a stream wait.
    fn wheels(&self, stream: &str) -> Vec<String> {
        let prefix = |group: &String| format!("{{{stream}}}:delay:{group}");
        self.scene.groups.iter().map(prefix).collect()
    }

    /// Whether no job waits for the end of a delay.
    fn is_wheel_empty(&self, stream: &str) -> bool {
        self.wheels(stream).iter().all(|wheel| {
            let mut hop = 1_000_u64;
            // No delay of a history is longer than five minutes.
            while hop < 300_000 {
                let length = self.server.command(&format!("XLEN {wheel}:after:{hop}"));
                if length.as_integer() != Some(0) {
                    return false;
                }
                hop = hop * 3 / 2;
            }
            true
        })
    }

    /// Returns the dead letters of a queue's jobs.
    pub(crate) fn letters(&self, queue: usize) -> Vec<Letter> {
        let Some(key) = &self.scene.queues[queue].dead_letter else { return Vec::new() };
        let letter = |(id, fields): (EntryId, Vec<(String, String)>)| {
            let job = job(&fields).filter(|job| self.scene.jobs[*job].queue == queue)?;
            let get = |name: &str| {
                fields.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
            };
            let group = get("_group").to_owned();
            Some(Letter { id, job, group, attempts: get("_attempt").parse().unwrap_or(0) })
        };
        self.entries(key).into_iter().filter_map(letter).collect()
    }

    fn entries(&self, key: &str) -> Vec<(EntryId, Vec<(String, String)>)> {
        let reply = self.server.command(&format!("XRANGE {key} - +"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entry = |entry: &Value| {
            let mut parts = entry.as_list()?.iter();
            let id = parts.next()?.as_str()?.parse().ok()?;
            let words: Vec<String> = parts.next()?.as_list()?.iter().map(text).collect();
            let fields = words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            Some((id, fields.collect()))
        };
        reply.as_list().map_or_else(Vec::new, |list| list.iter().filter_map(entry).collect())
    }

    /// Whether all entries have been read, and none is pending.
    pub(crate) fn is_idle(&self) -> bool {
        let field = |reply: &Value, name: &str| -> Option<String> {
            let list = reply.as_list()?;
            let words: Vec<&Value> = list.iter().collect();
            let pair = words.chunks_exact(2).find(|pair| pair[0].as_str() == Some(name))?;
            let integer = pair[1].as_integer().map(|number| number.to_string());
            integer.or_else(|| pair[1].as_str().map(str::to_owned))
        };
        self.scene.queues.iter().all(|queue| {
            let last = self.entries(&queue.stream).last().map(|(id, _)| *id);
            let groups = self.server.command(&format!("XINFO GROUPS {}", queue.stream));
            groups.as_list().is_some_and(|groups| {
                groups.iter().count() >= self.scene.groups.len()
                    && groups.iter().all(|group| {
                        let delivered = field(group, "last-delivered-id");
                        let delivered = delivered.and_then(|id| id.parse::<EntryId>().ok());
                        field(group, "pending").as_deref() == Some("0") && delivered >= last
                    })
            }) && self.is_wheel_empty(&queue.stream)
        })
    }

    /// Describes what is left on the server.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("busy: {}\n", self.is_busy());
        for queue in &self.scene.queues {
            for command in ["XRANGE", "XINFO GROUPS", "XPENDING"] {
                let rest = if command == "XRANGE" { "- +" } else { "" };
                let rest = if command == "XPENDING" { "group0 - + 20" } else { rest };
                let reply = self.server.command(&format!("{command} {} {rest}", queue.stream));
                text.push_str(&format!("{command} {}: {reply:?}\n", queue.stream));
            }
        }
        text
    }

    fn restored(&self) -> MutexGuard<'_, Vec<(usize, Letter)>> {
        self.restored.lock().expect("no panic")
    }

    /// Notes what the server has lost.
    pub(crate) fn lost(&self) {
        self.excuse(self.scene.lease * 4);
        let places = self.places();
        let mut gone = Vec::new();
        for queue in 0..self.scene.queues.len() {
            let waiting = self.waiting(queue);
            let stream = &self.scene.queues[queue].stream;
            let groups = self.server.command(&format!("XINFO GROUPS {stream}"));
            let groups = format!("{groups:?}");
            let letters = self.letters(queue);
            self.restored().extend(letters.iter().map(|letter| (queue, letter.clone())));
            gone.extend(places.iter().copied().filter(|(group, job)| {
                let letter = |letter: &Letter| {
                    letter.job == *job && letter.group == self.scene.groups[*group]
                };
                self.scene.jobs[*job].queue == queue
                    // What the others have done is deleted without a lost group.
                    && !(waiting.contains(job) && groups.contains(&self.scene.groups[*group]))
                    && !letters.iter().any(letter)
            }));
        }
        let mut ledger = self.ledger();
        ledger.losses += 1;
        for place in gone {
            if ledger.sent[place.1].tried > 0 {
                ledger.fates.entry(place).or_default().gone = true;
            }
        }
    }

    /// Returns all jobs in all groups.
    pub(crate) fn places(&self) -> Vec<Place> {
        let jobs = 0..self.scene.jobs.len();
        (0..self.scene.groups.len())
            .flat_map(|group| jobs.clone().map(move |job| (group, job)))
            .collect()
    }

    /// Redrives the dead letters of a queue in one group: all, or those there are now.
    pub(crate) fn redrive(self: &Arc<Self>, number: usize, all: bool) {
        self.spawn(|world, link| async move {
            let group = usize::from(world.scene.groups.len() > 1 && all);
            let name = world.scene.groups[group].clone();
            let letters: Vec<Letter> =
                world.letters(number).into_iter().filter(|letter| letter.group == name).collect();
            for place in world.places() {
                let has_letter = letters.iter().any(|letter| letter.job == place.1);
                let may = all && world.scene.jobs[place.1].queue == number;
                if place.0 == group && (may || has_letter) {
                    world.fate(place, |fate| fate.redrives += 1);
                }
            }
            let which = if all {
                Redrive::all()
            } else {
                Redrive::ids(letters.iter().map(|letter| letter.id))
            };
            let client = world.client(&link).await.expect("the settings are right");
            let Ok(queue) = world.open(&client, number, &name).await else { return };
            if queue.dead_letter_key().is_some() {
                let result = queue.dead_letters().redrive(which).await;
                for (id, fields) in world.entries(&world.scene.queues[number].stream) {
                    if let Some(job) = job(&fields) {
                        world.fate((group, job), |fate| fate.redriven.extend([id]));
                    }
                }
                world.log(|| format!("redrive of queue {number}, {name}: {result:?}"));
            }
        });
    }

    /// Deletes dead letters of a queue in the first group.
    pub(crate) fn purge(self: &Arc<Self>, number: usize, older: Duration) {
        self.spawn(|world, link| async move {
            let name = world.scene.groups[0].clone();
            let client = world.client(&link).await.expect("the settings are right");
            let Ok(queue) = world.open(&client, number, &name).await else { return };
            if queue.dead_letter_key().is_none() {
                return;
            }
            let older = older + Duration::from_secs(1);
            let (start, started) = (Instant::now(), world.server.time());
            let mut letters = world.letters(number);
            let before = world.restored().len();
            let dead = queue.dead_letters();
            let mut purge = pin!(dead.purge(older));
            let result = loop {
                tokio::select! {
                    result = &mut purge => break result,
                    // No letter is deleted sooner, except one that is there again.
                    () = sleep(Duration::from_millis(500)) => letters.extend(world.letters(number)),
                }
            };
            world.log(|| format!("purge of queue {number}: {result:?}"));
            let again = world.restored();
            let of_queue = again.iter().skip(before).filter(|(queue, _)| *queue == number);
            letters.extend(of_queue.map(|(_, letter)| letter.clone()));
            drop(again);
            // Those that are old enough by now may have been deleted, and no others.
            let now = world.server.time().max(started + start.elapsed());
            let is_old = |letter: &Letter| {
                let time = letter.id.time().expect("the server's clock");
                now.duration_since(time).is_ok_and(|age| age >= older)
            };
            for letter in letters.iter().filter(|letter| letter.group == name && is_old(letter)) {
                world.fate((0, letter.job), |fate| fate.gone = true);
            }
        });
    }
}

fn job(fields: &[(String, String)]) -> Option<usize> {
    fields.iter().find(|(name, _)| name == "job").and_then(|(_, value)| value.parse().ok())
}
