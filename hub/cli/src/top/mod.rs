//! `muster top`: the fleet, live, on the whole screen.
//!
//! ```text
//! keys, the hub's stream, waves, alerts --Message--> Top::update (pure) --> draw (pure)
//!                                                        '--Effect--> a question to the hub, the end
//! ```

mod draw;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use muster_wire::v1::DecideRequest;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};

use self::state::{Effect, Message, Top, Wish};
use crate::args::Options;
use crate::command::{reach, reach_again};
use crate::failure::Failure;
use crate::hub::Hub;

/// Between two frames without a key, and how often one is drawn without news, for ages to grow.
const FRAME: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_secs(1);
/// How often waves and alerts are asked for.
const ASK: Duration = Duration::from_secs(2);
/// Wait before the hub is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Messages on their way.
const MESSAGES_MAX: usize = 1_024;

/// Runs until the person has seen enough, or the hub cannot be asked at all.
pub(crate) async fn run(options: Options, colour: bool) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::NoTerminal);
    }
    // What is wrong with the configuration is told before the screen is taken.
    let hub = Hub::connect(reach(&options).await?, options.timeout).await?;
    let options = Arc::new(options);
    let (sender, messages) = mpsc::channel(MESSAGES_MAX);
    end_by_signal(&sender)?;
    // Restores the terminal also when it panics.
    let mut terminal = ratatui::try_init()?;
    let keys = sender.clone();
    std::thread::spawn(move || read_keys(&keys));
    let following = tokio::spawn(follow(hub, Arc::clone(&options), sender.clone()));
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Shown { top: Top::default(), messages, tick, colour };
    let result = loop {
        match shown.frame(&mut terminal).await {
            Ok(Effect::Nothing) => {}
            Ok(Effect::Quit) => break Ok(()),
            Ok(Effect::Decide(wish)) => {
                tokio::spawn(decide(wish, Arc::clone(&options), sender.clone()));
            }
            Err(error) => break Err(Failure::Output(error)),
        }
    };
    following.abort();
    ratatui::restore();
    result
}

/// What is on the screen, and what changes it.
struct Shown {
    top: Top,
    messages: mpsc::Receiver<Message>,
    tick: Interval,
    colour: bool,
}

impl Shown {
    /// Draws, and takes what comes until the next frame is due: at once after a key, for other news in a while.
    async fn frame(&mut self, terminal: &mut DefaultTerminal) -> std::io::Result<Effect> {
        terminal.draw(|frame| draw::draw(&self.top, frame, Timestamp::now(), self.colour))?;
        let due = Instant::now() + FRAME;
        let mut has_news = false;
        loop {
            let message = tokio::select! {
                message = self.messages.recv() => message,
                () = sleep_until(due), if has_news => return Ok(Effect::Nothing),
                _ = self.tick.tick() => return Ok(Effect::Nothing),
            };
            let Some(message) = message else { return Ok(Effect::Quit) };
            let is_key = matches!(message, Message::Key(_));
            let effect = self.top.update(message, Timestamp::now());
            if is_key || effect != Effect::Nothing {
                return Ok(effect);
            }
            has_news = true;
        }
    }
}

/// Whoever ends the process gets the terminal back as it was.
fn end_by_signal(sender: &mpsc::Sender<Message>) -> Result<(), Failure> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(Message::Ended).await.is_ok() {}
        });
    }
    Ok(())
}

/// Reads keys until nobody listens.
fn read_keys(sender: &mpsc::Sender<Message>) {
    while let Ok(event) = event::read() {
        let message = match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => continue,
            // The terminal is in raw mode, so this is no signal.
            Event::Key(key)
                if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) =>
            {
                Message::Ended
            }
            Event::Key(key) => Message::Key(key.code),
            // The next frame has the new size; a key that means nothing draws one.
            Event::Resize(..) => Message::Key(KeyCode::Null),
            _ => continue,
        };
        if sender.blocking_send(message).is_err() {
            return;
        }
    }
}

/// Follows the hub, and comes back when the connection is lost, with a new token where the old one is over.
async fn follow(mut hub: Hub, options: Arc<Options>, sender: mpsc::Sender<Message>) {
    loop {
        let failure = stream(&mut hub, &sender).await;
        let Some(failure) = failure else { return };
        if sender.send(Message::Lost(failure.to_string())).await.is_err() {
            return;
        }
        hub = loop {
            sleep(RETRY).await;
            match connect(&options).await {
                Ok(hub) => break hub,
                Err(failure) => {
                    if sender.send(Message::Lost(failure.to_string())).await.is_err() {
                        return;
                    }
                }
            }
        };
    }
}

async fn connect(options: &Options) -> Result<Hub, Failure> {
    Hub::connect(reach_again(options).await?, options.timeout).await
}

/// One stream up to its end; `None` when nobody listens any more.
async fn stream(hub: &mut Hub, sender: &mpsc::Sender<Message>) -> Option<Failure> {
    let mut stream = match hub.watch(None, "").await {
        Ok(stream) => stream,
        Err(failure) => return Some(failure),
    };
    sender.send(Message::Begun).await.ok()?;
    let mut ask = interval(ASK);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = stream.message() => match message {
                // A message of a later protocol says nothing this version could show.
                Ok(Some(message)) => {
                    if let Some(told) = message.change {
                        sender.send(Message::Told(Box::new(told))).await.ok()?;
                    }
                }
                Ok(None) => return Some(hub.failed(&tonic::Status::unavailable("the hub ended the stream"))),
                Err(status) => return Some(hub.failed(&status)),
            },
            _ = ask.tick() => {
                let waves = match hub.waves(None).await {
                    // The token is over: what is shown would not be true for long.
                    Err(failure @ Failure::Refused { .. }) => return Some(failure),
                    waves => waves.map_err(|failure| failure.to_string()),
                };
                sender.send(Message::Waves(waves)).await.ok()?;
                // Who may not see alerts sees none.
                let (alerts, _) = hub.alerts(false).await.unwrap_or_default();
                sender.send(Message::Alerts(alerts)).await.ok()?;
            }
        }
    }
}

async fn decide(wish: Wish, options: Arc<Options>, sender: mpsc::Sender<Message>) {
    let Wish { verb, track, wave, revision } = wish;
    let verb = verb.into();
    let request = DecideRequest { verb, track, wave, revision, ..DecideRequest::default() };
    let decided = async { connect(&options).await?.decide(request).await };
    let decided = decided.await;
    let said = decided.map(|decided| decided.subject).map_err(|failure| failure.to_string());
    let _ = sender.send(Message::Decided(said)).await; // the screen is gone
}
