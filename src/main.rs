//! The `settle` command: parse, call, map the result to an exit code; nothing else.

use std::process::ExitCode;

use settle::cli;
use settle::error::Exit;
use settle::{app, config, logging};

fn main() -> ExitCode {
    let dotenv = match config::read_dotenv(app::dotenv_path()) {
        Ok(dotenv) => dotenv,
        Err(why) => {
            eprintln!("settle: {why}; mend or remove the line");
            return Exit::Usage.code().into();
        }
    };
    let cli = match cli::parse(&std::env::args_os().collect::<Vec<_>>(), &dotenv) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    logging::start(&cli);
    // the one look at the clock; from here on, now is an argument
    #[allow(clippy::disallowed_methods)]
    let now = chrono::Utc::now();
    match app::run(&cli, now) {
        Ok(exit) => exit.code().into(),
        Err(error) => {
            app::report_error(&cli, &error);
            error.exit().code().into()
        }
    }
}
