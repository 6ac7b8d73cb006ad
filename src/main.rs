//! The `tallybook` program.

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use tallybook::command_line::{Command, CommandLine};
use tallybook::sql::answering::answer_query;
use tallybook::{commands, exit_code};

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Demo(arguments) => commands::demo(&arguments),
        Command::Run(arguments) => commands::run(&arguments),
        Command::Serve(arguments) => commands::serve(&arguments),
        Command::Config(arguments) => commands::config(&arguments),
        Command::Check(arguments) => commands::check(&arguments),
        Command::Quarantine(arguments) => commands::quarantine(&arguments),
        Command::Query(arguments) => commands::query(&arguments),
        Command::Doctor(arguments) => commands::doctor(&arguments),
        Command::Inspect(arguments) => commands::inspect(&arguments),
        Command::Export(arguments) => commands::export(&arguments),
        Command::Generate(arguments) => commands::generate(&arguments),
        Command::AnswerQuery(arguments) => answer_query(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            exit_code::explain(&error);
            exit_code::of(&error).into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
