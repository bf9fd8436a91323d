//! Every way through a job's life, by a clock that counts events.

use serde_json::json;

use super::*;

/// What is expected of a state: both statuses.
fn stands(state: &TrainingJobState) -> String {
    format!("{}:{}", state.status.as_str(), state.secondary().as_str())
}

/// Lets `events` happen a second apart to a new job; holds its course to `expected`.
#[track_caller]
fn check(events: &[Event], expected: &str) -> TrainingJobState {
    let mut state = TrainingJobState::new("id".into(), Map::new(), None, Timestamp(0));
    let mut course = vec![stands(&state)];
    for (second, event) in (1..).zip(events) {
        state.apply(event.clone(), Timestamp(second * 1000));
        if course.last() != Some(&stands(&state)) {
            course.push(stands(&state));
        }
    }
    assert_eq!(course.join(" "), expected, "{events:?}");
    // Each stay ends where the next begins.
    for pair in state.transitions.windows(2) {
        assert_eq!(pair[0].end, Some(pair[1].start), "{state:?}");
    }
    let last = state.transitions.last().expect("never empty");
    assert_eq!(last.end.is_some(), state.status.has_ended());
    assert_eq!(state.ended, last.end);
    assert!(state.transitions.iter().all(|transition| !transition.message.is_empty()));
    let record = state.record("j".into(), "arn:j".into(), Timestamp(0)).expect("JSON");
    assert_eq!(record.read::<TrainingJobState>().expect("itself"), state);
    state
}

const DOWNLOADING: Event = Event::Phase(Phase::Downloading);
const TRAINING: Event = Event::Phase(Phase::Training);
const UPLOADING: Event = Event::Phase(Phase::Uploading);

fn failed() -> Event {
    Event::Ended(Outcome::Failed("AlgorithmError: Exit Code: 1".into()))
}

#[test]
fn a_job_that_ends_by_itself() {
    let completed = Event::Ended(Outcome::Completed);
    let all =
        [Event::Begins, Event::Phase(Phase::Starting), DOWNLOADING, TRAINING, UPLOADING, completed.clone()];
    let state = check(
        &all,
        "InProgress:Starting InProgress:Downloading InProgress:Training InProgress:Uploading Completed:Completed",
    );
    assert_eq!(
        (state.started, state.ended, state.attempts),
        (Some(Timestamp(1000)), Some(Timestamp(6000)), 1)
    );
    check(
        &[Event::Waits, Event::Begins, TRAINING, UPLOADING, completed],
        "InProgress:Starting InProgress:Pending InProgress:Starting InProgress:Training InProgress:Uploading \
         Completed:Completed",
    );
    let state = check(
        &[Event::Begins, DOWNLOADING, TRAINING, failed(), Event::StopAsked, TRAINING],
        "InProgress:Starting InProgress:Downloading InProgress:Training Failed:Failed",
    );
    assert_eq!(state.failure_reason.as_deref(), Some("AlgorithmError: Exit Code: 1"));
    assert_eq!(
        state.transitions.last().map(|last| last.message.as_str()),
        Some("AlgorithmError: Exit Code: 1")
    );
    check(&[failed()], "InProgress:Starting Failed:Failed");
    check(
        &[Event::Begins, TRAINING, UPLOADING, Event::Ended(Outcome::MaxRuntimeExceeded)],
        "InProgress:Starting InProgress:Training InProgress:Uploading Stopped:MaxRuntimeExceeded",
    );
}

#[test]
fn a_job_that_is_stopped_in_each_phase() {
    let stopped = Event::Ended(Outcome::Stopped);
    let ends =
        [stopped, failed(), Event::Ended(Outcome::Completed), Event::Ended(Outcome::MaxRuntimeExceeded)];
    let phases: [(&[Event], &str); 6] = [
        (&[], "InProgress:Starting"),
        (&[Event::Waits], "InProgress:Starting InProgress:Pending"),
        (&[Event::Begins], "InProgress:Starting"),
        (&[Event::Begins, DOWNLOADING], "InProgress:Starting InProgress:Downloading"),
        (&[Event::Begins, TRAINING], "InProgress:Starting InProgress:Training"),
        (
            &[Event::Begins, TRAINING, UPLOADING],
            "InProgress:Starting InProgress:Training InProgress:Uploading",
        ),
    ];
    for (before, course) in phases {
        for end in &ends {
            let mut events = before.to_vec();
            // What goes on until it is heard is not shown.
            events.extend([Event::StopAsked, Event::Begins, TRAINING, UPLOADING, end.clone()]);
            let state = check(&events, &format!("{course} Stopping:Stopping Stopped:Stopped"));
            assert_eq!(state.failure_reason, None);
        }
    }
}

#[test]
fn a_job_that_is_cut_runs_again() {
    let state = check(
        &[Event::Begins, DOWNLOADING, TRAINING, Event::Begins, DOWNLOADING, TRAINING],
        "InProgress:Starting InProgress:Downloading InProgress:Training InProgress:Restarting InProgress:Downloading \
         InProgress:Training",
    );
    assert_eq!((state.attempts, state.started), (2, Some(Timestamp(1000))));
    let cut = [Event::Begins, TRAINING, Event::Suspended, Event::Waits, Event::Begins, TRAINING];
    let state = check(
        &cut,
        "InProgress:Starting InProgress:Training InProgress:Pending InProgress:Restarting InProgress:Training",
    );
    assert_eq!(state.attempts, 1, "an orderly end is no fault of the job's");
}

#[test]
fn transitions_are_limited_and_the_first_stays() {
    let mut events = Vec::new();
    (0..TRANSITIONS_MAX).for_each(|_| events.extend([Event::Begins, TRAINING]));
    let mut state = TrainingJobState::new("id".into(), Map::new(), Some("Ignored: X"), Timestamp(0));
    events.into_iter().for_each(|event| state.apply(event, Timestamp(1)));
    assert_eq!(state.transitions.len(), TRANSITIONS_MAX);
    assert_eq!(state.transitions[0].message, "Starting the training job. Ignored: X");
    assert_eq!(json!(state.transitions[0].status), "Starting");
}
