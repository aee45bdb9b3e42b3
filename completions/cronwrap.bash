# bash completion for cronwrap. Made by tools/completions.py; a change belongs there.

_cronwrap_node() {
    flags= valued= words= files=
    case $path in
        '')
            flags='-n --name -C --chdir --on --ok-codes --fail-match --ignore-match --min-duration --max-duration --after --remind -t --mailto -f --mailfrom --format --max-output --timestamps --live --quiet --timeout --idle-timeout --kill-after --drain --overlap --stuck-after --once --scope --unreachable --still-running --overlap-wait --retries --retry-delay --jitter --nice --max-memory --ping --ping-after --dry-run --config -c --version -h --help --'
            valued='-n --name -C --chdir --on --ok-codes --fail-match --ignore-match --min-duration --max-duration --after --remind -t --mailto -f --mailfrom --format --max-output --timeout --idle-timeout --kill-after --drain --overlap --stuck-after --scope --unreachable --still-running --overlap-wait --retries --retry-delay --jitter --nice --max-memory --ping --ping-after --config -c'
            words='init doctor status history show tail stop run pause resume mute unmute outbox crontab config fleet web metrics sendmail'
            ;;
        'init')
            flags='--relay --user --password-file --password-stdin --ca-file --fingerprint --mailto --mailfrom -y --yes -h --help'
            valued='--relay --user --password-file --ca-file --fingerprint --mailto --mailfrom'
            ;;
        'doctor')
            flags='--send --json -h --help'
            ;;
        'status')
            flags='--next --long --json --fleet --host -j --job -n -h --help'
            valued='--host -j --job -n'
            ;;
        'history')
            flags='-j --job --failed --since -n --json --fleet --host -h --help'
            valued='-j --job --since -n --host'
            ;;
        'show')
            flags='--json --fleet -h --help'
            ;;
        'tail')
            flags='-h --help'
            ;;
        'stop')
            flags='-h --help'
            ;;
        'run')
            flags='--user --line --print -h --help'
            valued='--user --line'
            ;;
        'pause')
            flags='--for --until -h --help'
            valued='--for --until'
            ;;
        'resume')
            flags='-h --help'
            ;;
        'mute')
            flags='--for --until --until-ok -h --help'
            valued='--for --until'
            ;;
        'unmute')
            flags='-h --help'
            ;;
        'outbox')
            flags='--json -h --help'
            words='drop flush list retry show'
            ;;
        'outbox drop')
            flags='--all --json -h --help'
            ;;
        'outbox flush')
            flags='--json -h --help'
            ;;
        'outbox list')
            flags='--json -h --help'
            ;;
        'outbox retry')
            flags='--all --json -h --help'
            ;;
        'outbox show')
            flags='--raw --json -h --help'
            ;;
        'crontab')
            flags='-h --help'
            words='audit lint unwrap wrap'
            ;;
        'crontab audit')
            flags='--since --grace --system --dialect -v --verbose -h --help'
            valued='--since --grace --dialect'
            files=1
            ;;
        'crontab lint')
            flags='--system --dialect --no-host -h --help'
            valued='--dialect'
            files=1
            ;;
        'crontab unwrap')
            flags='--system --dialect --in-place -y --yes -h --help'
            valued='--dialect'
            files=1
            ;;
        'crontab wrap')
            flags='--prefix --system --dialect --in-place -y --yes -h --help'
            valued='--prefix --dialect'
            files=1
            ;;
        'config')
            flags='-h --help'
            words='check import show'
            ;;
        'config check')
            flags='-h --help'
            files=1
            ;;
        'config import')
            flags='--kind --account -o --output --write -y --yes -h --help'
            valued='--kind --account -o --output'
            files=1
            ;;
        'config show')
            flags='--job --json -h --help'
            valued='--job'
            ;;
        'fleet')
            flags='-h --help'
            words='forget init prune ship status'
            ;;
        'fleet forget')
            flags='--yes -h --help'
            ;;
        'fleet init')
            flags='--host --role --viewer --user --keep -h --help'
            valued='--host --role --viewer --user --keep'
            ;;
        'fleet prune')
            flags='--keep -h --help'
            valued='--keep'
            ;;
        'fleet ship')
            flags='-h --help'
            ;;
        'fleet status')
            flags='--json -h --help'
            ;;
        'web')
            flags='--listen --socket --read-only --open --idle-exit -h --help'
            valued='--listen --socket --idle-exit'
            ;;
        'metrics')
            flags='-h --help'
            ;;
        'sendmail')
            flags=''
            ;;
    esac
}

_cronwrap_job() {
    # The job's own command, from word $1 on.
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
}

_cronwrap() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local path='' flags valued words files word i
    COMPREPLY=()
    _cronwrap_node
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -- && ! $path ]]; then
            _cronwrap_job $((i + 1))
            return
        elif [[ $word == -* && " $valued " == *" $word "* ]]; then
            # readline makes words of their own of --flag=value's three parts
            [[ ${COMP_WORDS[i + 1]-} == = ]] && ((i++))
            ((i++))
        elif [[ $word != -* && " $words " == *" $word "* ]]; then
            path=${path:+$path }$word
            _cronwrap_node
        fi
    done
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ $prev == -* && " $valued " == *" $prev "* ]]; then
        case $prev in
            -C | --chdir)
                mapfile -t COMPREPLY < <(compgen -d -- "$cur")
                ;;
            --on)
                mapfile -t COMPREPLY < <(compgen -P "${cur%"${cur##*,}"}" -W 'failure output stderr success recovery skip running stuck always never' -- "${cur##*,}")
                ;;
            --format)
                mapfile -t COMPREPLY < <(compgen -W 'report cron' -- "$cur")
                ;;
            --overlap)
                mapfile -t COMPREPLY < <(compgen -W 'allow skip wait kill' -- "$cur")
                ;;
            --config | --password-file | --ca-file | -o | --output)
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                ;;
            --dialect)
                mapfile -t COMPREPLY < <(compgen -W 'debian cronie busybox bsd supercronic' -- "$cur")
                ;;
            --kind)
                mapfile -t COMPREPLY < <(compgen -W 'mail.rc msmtprc ssmtp.conf remotes revaliases dma.conf auth.conf main.cf sasl_passwd update-exim4.conf.conf passwd.client esmtprc' -- "$cur")
                ;;
        esac
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" ${files:+-f} -- "$cur")
    fi
}

complete -F _cronwrap cronwrap
