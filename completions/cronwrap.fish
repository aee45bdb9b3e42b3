# fish completion for cronwrap. Made by tools/completions.py; a change belongs there.

function __cronwrap_path --description 'The subcommand before the cursor, or -- behind the dashes'
    set -l path
    set -l skip
    for word in (commandline -opc)[2..]
        if set -q skip[1]
            set -e skip
        else if test "$word" = --; and not set -q path[1]
            echo -- --
            return
        else if contains -- $word -n --name -C --chdir --on --ok-codes --fail-match --ignore-match --min-duration --max-duration --after --remind -t --mailto -f --mailfrom --format --max-output --timeout --idle-timeout --kill-after --drain --overlap --stuck-after --still-running --overlap-wait --retries --retry-delay --jitter --nice --max-memory --ping --ping-after --config -c --relay --user --password-file --ca-file --fingerprint -j --job --since --line --for --until --grace --dialect --prefix --kind --account -o --output
            set skip 1
        else if not string match -q -- '-*' $word
            switch "$path $word"
                case ' init' ' doctor' ' status' ' history' ' show' ' tail' ' stop' ' run' ' pause' ' resume' ' mute' ' unmute' ' outbox' ' crontab' ' config' ' metrics' ' sendmail' 'outbox drop' 'outbox flush' 'outbox list' 'outbox retry' 'outbox show' 'crontab audit' 'crontab lint' 'crontab unwrap' 'crontab wrap' 'config check' 'config import' 'config show'
                    set -a path $word
            end
        end
    end
    echo -- "$path"
end

function __cronwrap_at
    test (__cronwrap_path) = "$argv"
end

function __cronwrap_job --description "The job's own command, behind the dashes"
    set -l words (commandline -opc) (commandline -ct)
    set -l dashes (contains -i -- -- $words)
    complete -C (string join -- ' ' (string escape -- $words[(math $dashes + 1)..-2]) $words[-1])
end

complete -c cronwrap -f
complete -c cronwrap -n '__cronwrap_at --' -a '(__cronwrap_job)'
complete -c cronwrap -n '__cronwrap_at ""' -a init -d 'Set up a relay: ask, check, write the configuration, send a test message'
complete -c cronwrap -n '__cronwrap_at ""' -a doctor -d 'Check the way of a mail, step by step; exit with 1 when something is wrong'
complete -c cronwrap -n '__cronwrap_at ""' -a status -d 'Show each job: last result, when, how long against its usual, failures in a'
complete -c cronwrap -n '__cronwrap_at ""' -a history -d 'Show the runs, newest first'
complete -c cronwrap -n '__cronwrap_at ""' -a show -d 'Show one run whole, with its output: the latest, a job\'s latest, or the one'
complete -c cronwrap -n '__cronwrap_at ""' -a tail -d 'Show the output of a run from its beginning and as it comes; exit with the'
complete -c cronwrap -n '__cronwrap_at ""' -a stop -d 'End a run as --timeout would: SIGTERM to its whole tree, then SIGKILL after'
complete -c cronwrap -n '__cronwrap_at ""' -a run -d 'Run a job of the crontab now, in the surroundings that cron gives it; exit'
complete -c cronwrap -n '__cronwrap_at ""' -a pause -d 'Skip the runs of a job until then, or until it is resumed'
complete -c cronwrap -n '__cronwrap_at ""' -a resume -d 'End the pause of a job; say what was skipped'
complete -c cronwrap -n '__cronwrap_at ""' -a mute -d 'Let a job run, and mail nothing until then; the first mail after says what'
complete -c cronwrap -n '__cronwrap_at ""' -a unmute -d 'End the mute of a job; say what was left unsaid'
complete -c cronwrap -n '__cronwrap_at ""' -a outbox -d 'List, show, send or drop the reports and notifications that wait to be sent'
complete -c cronwrap -n '__cronwrap_at ""' -a crontab -d 'Wrap the jobs of a crontab, find mistakes, find jobs that did not run'
complete -c cronwrap -n '__cronwrap_at ""' -a config -d 'Show the settings in force, find mistakes in them, import another program\'s'
complete -c cronwrap -n '__cronwrap_at ""' -a metrics -d 'Print what Prometheus is told of the jobs, as [metrics] textfile has it'
complete -c cronwrap -n '__cronwrap_at ""' -a sendmail -d 'Take a whole message on standard input and send it, as sendmail(8) does'
complete -c cronwrap -n '__cronwrap_at ""' -s n -l name -x -d 'the job\'s name [from the command]'
complete -c cronwrap -n '__cronwrap_at ""' -s C -l chdir -x -a '(__fish_complete_directories)' -d 'working directory of the job'
complete -c cronwrap -n '__cronwrap_at ""' -l on -x -a "(__fish_append , failure output stderr success recovery skip running stuck always never)" -d 'mail on: failure output stderr success recovery skip running stuck always never [failure,output]'
complete -c cronwrap -n '__cronwrap_at ""' -l ok-codes -x -d 'exit codes that are no failure [0]'
complete -c cronwrap -n '__cronwrap_at ""' -l fail-match -x -d 'a line of output that matches makes the run a failure'
complete -c cronwrap -n '__cronwrap_at ""' -l ignore-match -x -d 'matching lines do not count as output'
complete -c cronwrap -n '__cronwrap_at ""' -l min-duration -x -d 'a run that ends sooner is a failure'
complete -c cronwrap -n '__cronwrap_at ""' -l max-duration -x -d 'a run that ends later is a failure'
complete -c cronwrap -n '__cronwrap_at ""' -l after -x -d 'mail failures from the Nth in a row on [1]'
complete -c cronwrap -n '__cronwrap_at ""' -l remind -x -d 'while a job keeps failing, at most one failure mail per D'
complete -c cronwrap -n '__cronwrap_at ""' -s t -l mailto -x -d 'recipients; an empty text: no mail'
complete -c cronwrap -n '__cronwrap_at ""' -s f -l mailfrom -x -d 'sender, header and envelope'
complete -c cronwrap -n '__cronwrap_at ""' -l format -x -a 'report cron' -d 'cron: the output alone, as crond\'s [report]'
complete -c cronwrap -n '__cronwrap_at ""' -l max-output -x -d 'how much output is kept: first and last half [1M]'
complete -c cronwrap -n '__cronwrap_at ""' -l timestamps -d 'the time since the start on each line of the mailed output'
complete -c cronwrap -n '__cronwrap_at ""' -l live -d 'pass output through as it comes [on a terminal]'
complete -c cronwrap -n '__cronwrap_at ""' -l quiet -d 'pass no output through'
complete -c cronwrap -n '__cronwrap_at ""' -l timeout -x -d 'end the job after D'
complete -c cronwrap -n '__cronwrap_at ""' -l idle-timeout -x -d 'end the job after D without output'
complete -c cronwrap -n '__cronwrap_at ""' -l kill-after -x -d 'time between SIGTERM and SIGKILL [10s]'
complete -c cronwrap -n '__cronwrap_at ""' -l drain -x -d 'how long to read on after the job ended [5s]'
complete -c cronwrap -n '__cronwrap_at ""' -l overlap -x -a 'allow skip wait kill' -d 'what to do when the same job still runs [allow]'
complete -c cronwrap -n '__cronwrap_at ""' -l stuck-after -x -d 'mail once when the Nth run in a row is skipped [3]'
complete -c cronwrap -n '__cronwrap_at ""' -l still-running -x -d 'mail once while the job still runs after D'
complete -c cronwrap -n '__cronwrap_at ""' -l overlap-wait -x -d 'the longest wait of --overlap wait'
complete -c cronwrap -n '__cronwrap_at ""' -l retries -x -d 'run again after a failure, N times [0]'
complete -c cronwrap -n '__cronwrap_at ""' -l retry-delay -x -d 'wait before the first retry, doubling [10s]'
complete -c cronwrap -n '__cronwrap_at ""' -l jitter -x -d 'wait a part of D first, the same on each run'
complete -c cronwrap -n '__cronwrap_at ""' -l nice -x -d 'niceness of the job'
complete -c cronwrap -n '__cronwrap_at ""' -l max-memory -x -d 'end the job above this resident size'
complete -c cronwrap -n '__cronwrap_at ""' -l ping -x -d 'tell a monitor of the start and the end'
complete -c cronwrap -n '__cronwrap_at ""' -l ping-after -x -d 'the monitor hears of failures from the Nth in a row on [1]'
complete -c cronwrap -n '__cronwrap_at ""' -l dry-run -d 'run the job, print the mail instead of sending, keep nothing'
complete -c cronwrap -n '__cronwrap_at ""' -l config -r -F -d 'the only configuration file'
complete -c cronwrap -n '__cronwrap_at ""' -s c -x -d 'run TEXT with $SHELL -c, as crond does'
complete -c cronwrap -n '__cronwrap_at ""' -l version -d 'Show the version and exit'
complete -c cronwrap -n '__cronwrap_at ""' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "init"' -l relay -x -d 'The relay: a URL, HOST or HOST:PORT'
complete -c cronwrap -n '__cronwrap_at "init"' -l user -x -d 'The login there'
complete -c cronwrap -n '__cronwrap_at "init"' -l password-file -r -F -d 'A file that holds the password; it stays there'
complete -c cronwrap -n '__cronwrap_at "init"' -l password-stdin -d 'Read the password from standard input'
complete -c cronwrap -n '__cronwrap_at "init"' -l ca-file -r -F -d 'Authorities to trust in place of the system\'s'
complete -c cronwrap -n '__cronwrap_at "init"' -l fingerprint -x -d 'The one certificate to trust, as sha256:AB:CD:… has it'
complete -c cronwrap -n '__cronwrap_at "init"' -l mailto -x -d 'Whom to tell'
complete -c cronwrap -n '__cronwrap_at "init"' -l mailfrom -x -d 'The sender'
complete -c cronwrap -n '__cronwrap_at "init"' -s y -l yes -d 'Ask nothing; keep a backup of what is replaced'
complete -c cronwrap -n '__cronwrap_at "init"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "doctor"' -l send -d 'Send a test message as well, and tell each target of [[notify]]'
complete -c cronwrap -n '__cronwrap_at "doctor"' -l json -d 'One JSON object a step'
complete -c cronwrap -n '__cronwrap_at "doctor"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "status"' -l next -d 'Tell when each job of the crontab is due; soonest first'
complete -c cronwrap -n '__cronwrap_at "status"' -l long -d 'Tell the ids of the runs, and what was held back'
complete -c cronwrap -n '__cronwrap_at "status"' -l json -d 'One JSON object a job'
complete -c cronwrap -n '__cronwrap_at "status"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "history"' -s j -l job -x -d 'Only the runs of this job'
complete -c cronwrap -n '__cronwrap_at "history"' -l failed -d 'Only the runs that failed'
complete -c cronwrap -n '__cronwrap_at "history"' -l since -x -d 'Only the runs that began in the last D (2h, 7d)'
complete -c cronwrap -n '__cronwrap_at "history"' -s n -x -d 'At most N runs'
complete -c cronwrap -n '__cronwrap_at "history"' -l json -d 'One JSON object a run'
complete -c cronwrap -n '__cronwrap_at "history"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "show"' -l json -d 'One JSON object, output included'
complete -c cronwrap -n '__cronwrap_at "show"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "tail"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "stop"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "run"' -l user -x -d 'The job of this user\'s crontab, or of the system\'s; for root'
complete -c cronwrap -n '__cronwrap_at "run"' -l line -x -d 'The job in this line, as 5 or /etc/crontab:5'
complete -c cronwrap -n '__cronwrap_at "run"' -l print -d 'Show what would be run, and run nothing'
complete -c cronwrap -n '__cronwrap_at "run"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "pause"' -l for -x -d 'For so long: 30m, 2h, 1d'
complete -c cronwrap -n '__cronwrap_at "pause"' -l until -x -d 'Until then: 18:00, tomorrow, monday 9:00, 2026-03-01 08:00'
complete -c cronwrap -n '__cronwrap_at "pause"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "resume"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "mute"' -l for -x -d 'For so long: 30m, 2h, 1d'
complete -c cronwrap -n '__cronwrap_at "mute"' -l until -x -d 'Until then: 18:00, tomorrow, monday 9:00, 2026-03-01 08:00'
complete -c cronwrap -n '__cronwrap_at "mute"' -l until-ok -d 'Until it succeeds'
complete -c cronwrap -n '__cronwrap_at "mute"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "unmute"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "outbox"' -a drop -d 'Throw a message away, unsent'
complete -c cronwrap -n '__cronwrap_at "outbox"' -a flush -d 'Send everything now, whatever its schedule says'
complete -c cronwrap -n '__cronwrap_at "outbox"' -a list -d 'List what waits and what was given up, the oldest first'
complete -c cronwrap -n '__cronwrap_at "outbox"' -a retry -d 'Queue a message again, even one that was given up, and send it now'
complete -c cronwrap -n '__cronwrap_at "outbox"' -a show -d 'Show a message as its reader would see it'
complete -c cronwrap -n '__cronwrap_at "outbox"' -l json -d 'One JSON object a message'
complete -c cronwrap -n '__cronwrap_at "outbox"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "outbox drop"' -l all -d 'Every message that waits or was given up'
complete -c cronwrap -n '__cronwrap_at "outbox drop"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "outbox flush"' -l json -d 'One JSON object a message that was tried'
complete -c cronwrap -n '__cronwrap_at "outbox flush"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "outbox list"' -l json -d 'One JSON object a message'
complete -c cronwrap -n '__cronwrap_at "outbox list"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "outbox retry"' -l all -d 'Every message that waits or was given up'
complete -c cronwrap -n '__cronwrap_at "outbox retry"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "outbox show"' -l raw -d 'The message as it will be sent'
complete -c cronwrap -n '__cronwrap_at "outbox show"' -l json -d 'One JSON object'
complete -c cronwrap -n '__cronwrap_at "outbox show"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "crontab"' -a audit -d 'Find wrapped jobs that should have run and did not'
complete -c cronwrap -n '__cronwrap_at "crontab"' -a lint -d 'Find mistakes'
complete -c cronwrap -n '__cronwrap_at "crontab"' -a unwrap -d 'Take cronwrap off every job'
complete -c cronwrap -n '__cronwrap_at "crontab"' -a wrap -d 'Put cronwrap before every job'
complete -c cronwrap -n '__cronwrap_at "crontab"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -F
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -l since -x -d 'How far to look back'
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -l grace -x -d 'How late a job may start'
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -l system -d 'The crontab has a user column'
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -l dialect -x -a 'debian cronie busybox bsd supercronic' -d 'The cron that reads it: debian, cronie, busybox, bsd, supercronic'
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -s v -l verbose -d 'Name the jobs that cannot be judged, too'
complete -c cronwrap -n '__cronwrap_at "crontab audit"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "crontab lint"' -F
complete -c cronwrap -n '__cronwrap_at "crontab lint"' -l system -d 'The crontab has a user column'
complete -c cronwrap -n '__cronwrap_at "crontab lint"' -l dialect -x -a 'debian cronie busybox bsd supercronic' -d 'The cron that reads it: debian, cronie, busybox, bsd, supercronic'
complete -c cronwrap -n '__cronwrap_at "crontab lint"' -l no-host -d 'Look at no program, user or file of this host, as for CI'
complete -c cronwrap -n '__cronwrap_at "crontab lint"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "crontab unwrap"' -F
complete -c cronwrap -n '__cronwrap_at "crontab unwrap"' -l system -d 'The crontab has a user column'
complete -c cronwrap -n '__cronwrap_at "crontab unwrap"' -l dialect -x -a 'debian cronie busybox bsd supercronic' -d 'The cron that reads it: debian, cronie, busybox, bsd, supercronic'
complete -c cronwrap -n '__cronwrap_at "crontab unwrap"' -l in-place -d 'Write FILE; the old one is kept as FILE~'
complete -c cronwrap -n '__cronwrap_at "crontab unwrap"' -s y -l yes -d 'Install one\'s own crontab without asking'
complete -c cronwrap -n '__cronwrap_at "crontab unwrap"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -F
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -l prefix -x -d 'What to put before each job, with options'
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -l system -d 'The crontab has a user column'
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -l dialect -x -a 'debian cronie busybox bsd supercronic' -d 'The cron that reads it: debian, cronie, busybox, bsd, supercronic'
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -l in-place -d 'Write FILE; the old one is kept as FILE~'
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -s y -l yes -d 'Install one\'s own crontab without asking'
complete -c cronwrap -n '__cronwrap_at "crontab wrap"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "config"' -a check -d 'List the faults of the settings'
complete -c cronwrap -n '__cronwrap_at "config"' -a import -d 'Take over the settings of another mailer'
complete -c cronwrap -n '__cronwrap_at "config"' -a show -d 'Show every setting in force, and where it comes from'
complete -c cronwrap -n '__cronwrap_at "config"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "config check"' -F
complete -c cronwrap -n '__cronwrap_at "config check"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "config import"' -F
complete -c cronwrap -n '__cronwrap_at "config import"' -l kind -x -a 'mail.rc msmtprc ssmtp.conf remotes revaliases dma.conf auth.conf main.cf sasl_passwd update-exim4.conf.conf passwd.client esmtprc' -d 'What kind of file it is: mail.rc, msmtprc, ssmtp.conf, remotes, revaliases, dma.conf, auth.conf, main.cf, sasl_passwd, update-exim4.conf.conf, passwd.client, esmtprc'
complete -c cronwrap -n '__cronwrap_at "config import"' -l account -x -d 'The account to take, of several in the file'
complete -c cronwrap -n '__cronwrap_at "config import"' -s o -l output -r -F -d 'Write it to FILE, and each password beside it'
complete -c cronwrap -n '__cronwrap_at "config import"' -l write -d 'Write it to where cronwrap reads it'
complete -c cronwrap -n '__cronwrap_at "config import"' -s y -l yes -d 'Replace a file that is there, keeping a backup'
complete -c cronwrap -n '__cronwrap_at "config import"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "config show"' -l job -x -d 'With the settings of [jobs.NAME]'
complete -c cronwrap -n '__cronwrap_at "config show"' -l json -d 'One JSON object a setting'
complete -c cronwrap -n '__cronwrap_at "config show"' -s h -l help -d 'Show this message and exit'
complete -c cronwrap -n '__cronwrap_at "metrics"' -s h -l help -d 'Show this message and exit'
