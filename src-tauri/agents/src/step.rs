//! The named steps of an attempt's start and end, at each of which a test ends the engine.
//!
//! Only debug builds do it, and only where [`VARIABLE`] names a step: what is shipped has none of this.

/// Names the step at which the process kills itself, as `kill -9` would.
pub const VARIABLE: &str = "HIVEKEEPER_TEST_DIE_AT";

macro_rules! steps {
    ($($step:ident $name:literal $meaning:literal;)*) => {
        /// A step.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $(#[doc = $meaning] $step,)*
        }

        impl Step {
            /// Every step, in the order in which an attempt comes to them.
            pub const ALL: &[Self] = &[$(Self::$step),*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)*
                }
            }
        }
    };
}

steps! {
    WorktreeMade "worktree made" "The workplace is there, and not recorded.";
    Prepared "prepared" "The workplace is recorded.";
    BriefWritten "brief written" "The agent's private files are there.";
    SpecWritten "spec written" "What is to be started is written down.";
    ShimSpawned "shim spawned" "The shim was started, and has not answered.";
    Answered "answered" "The program runs, and that is not recorded.";
    Started "start recorded" "It is recorded that the program runs.";
    OpeningSent "opening sent" "The agent was told what to do.";
    FirstWords "first words" "The agent has said something.";
    AskHeard "permission asked" "The agent asks for a permission, and that is not recorded.";
    AskRecorded "permission recorded" "It is recorded what the agent asks.";
    AnswerFound "answer found" "The captain has answered, and the agent was not told.";
    AnswerTold "answer told" "What tells the agent the answer is kept, and that is not recorded.";
    AnswerRecorded "answer recorded" "It is recorded that the agent was told the answer.";
    MessageTold "message told" "What tells the agent a message is kept, and that is not recorded.";
    MessageRecorded "message recorded" "It is recorded that the agent was told a message.";
    HandoverSaid "handover said" "The agent has said what it hands over, and its attempt goes on.";
    Judged "conversation over" "It is known how the conversation ended, and its program still runs.";
    ExitFound "exit written" "The program has ended, and that is not recorded.";
    ExitRecorded "exit recorded" "It is recorded that the program has ended.";
    WorkSecured "work secured" "What it left is committed, and that is not recorded.";
    WorkRecorded "work recorded" "It is recorded what it left.";
    GateAnswered "gate answered" "A gate was run, and its result is not recorded.";
    GateRecorded "gate recorded" "Its result is recorded.";
    Verified "verified" "Everything is checked, and that is not recorded.";
    Accepted "accepted" "The end of the attempt is recorded.";
    StopAsked "stop asked" "It is recorded that the attempt is to stop, and nothing was done.";
    StopSent "stop sent" "The shim was told to end the processes.";
    TreeEnded "tree ended" "No process is left, and that is not recorded.";
    StopSecured "stop secured" "What a stopped attempt left is committed.";
    Checkpointed "checkpointed" "It is kept as a checkpoint.";
    Stopped "stop recorded" "It is recorded that the attempt was stopped.";
}

/// The engine has come to this step.
#[cfg(debug_assertions)]
pub fn reached(step: Step) {
    if std::env::var_os(VARIABLE).is_some_and(|wanted| wanted == step.name()) {
        let own = rustix::process::getpid();
        // Nothing is flushed, told or tidied up.
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

/// The engine has come to this step.
#[cfg(not(debug_assertions))]
pub const fn reached(_: Step) {}
