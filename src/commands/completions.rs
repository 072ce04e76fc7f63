//! `settle completions`: generates a shell completion script from the command line definition. In bash, zsh and
//! fish, `undo` and `export --changed-since` complete ids of runs, which `settle log --ids` prints.

use clap_complete::Shell;

use crate::error::Error;
use crate::output::print::print;

/// Prints the script of `command` for `shell`.
///
/// # Errors
/// [`Error::Output`].
pub fn run(mut command: clap::Command, shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "settle", &mut script);
    let script = with_run_ids(&String::from_utf8_lossy(&script), shell);
    print(script.as_bytes())
}

/// The script with ids of runs where the command takes one.
fn with_run_ids(script: &str, shell: Shell) -> String {
    match shell {
        // the function that was generated, within one that knows runs
        Shell::Bash => script.replace("complete -F _settle ", "complete -F _settle_or_run ") + BASH,
        Shell::Zsh => {
            let mut zsh = String::new();
            for line in
                script.replacen("\n_settle() {", &format!("\n{ZSH}\n_settle() {{"), 1).lines()
            {
                let takes_run =
                    line.starts_with("':run_id --") || line.starts_with("'--changed-since=");
                match line.strip_suffix(":_default' \\").filter(|_| takes_run) {
                    Some(line) => zsh.push_str(&format!("{line}:_settle_runs' \\")),
                    None => zsh.push_str(line),
                }
                zsh.push('\n');
            }
            zsh
        }
        Shell::Fish => script.to_owned() + FISH,
        _ => script.to_owned(),
    }
}

const BASH: &str = r#"
_settle_or_run() {
    _settle "$@"
    local i word has_undo= options=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            undo) has_undo=1 ;;
            --db | --config | --bot)
                i=$((i + 1))
                # bash makes = a word
                [[ ${COMP_WORDS[i]} != = ]] || i=$((i + 1))
                [[ $i -ge $COMP_CWORD ]] || options+=("$word" "${COMP_WORDS[i]/#\~\//$HOME/}")
                ;;
        esac
    done
    case $3 in
        --changed-since) ;;
        --db | --config | --bot | --color | =) return ;;
        *) [[ -n $has_undo && $2 != -* ]] || return ;;
    esac
    local ids
    ids=$("$1" log --ids "${options[@]}" 2>/dev/null)
    [[ -z $has_undo || -z $ids ]] || ids="last $ids"
    COMPREPLY=($(compgen -W "$ids" -- "$2"))
}
"#;

const ZSH: &str = r#"
_settle_runs() {
    local -a options runs
    local i
    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
            --db|--config|--bot) options+=($words[i] ${~words[i+1]}) ;;
            --db=*|--config=*|--bot=*) options+=($words[i]) ;;
        esac
    done
    runs=(${(f)"$(settle log --ids $options 2>/dev/null)"})
    (( $#runs )) && [[ $words[(I)undo] -gt 0 ]] && runs=(last $runs)
    compadd -V runs -a runs
}
"#;

const FISH: &str = r#"
function __fish_settle_runs
    set -l words (commandline -opc)
    set -l options
    for i in (seq 2 (count $words))
        switch $words[$i]
            case --db --config --bot
                set -a options $words[$i] $words[(math $i + 1)]
            case '--db=*' '--config=*' '--bot=*'
                set -a options $words[$i]
        end
    end
    settle log --ids $options 2>/dev/null
end
complete -c settle -n "__fish_settle_using_subcommand undo" -k -f -a "last (__fish_settle_runs)"
complete -c settle -n "__fish_settle_using_subcommand export" -l changed-since -k -x -a "(__fish_settle_runs)"
"#;
