-- The schema of a fleet, from nothing to version 1.
--
-- A host's role may call the functions at the end of this file and nothing else. Each takes the name of the host
-- that calls, and refuses a name that belongs to another role: a host writes in its own name alone, and reads
-- nothing of others. A viewer may select.
--
-- Times are of the database's clock, but for those that a run had by its own host's.

-- What holds for the whole fleet; one row.
CREATE TABLE cronwrap.settings (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    keep_days integer NOT NULL DEFAULT 90 CHECK (keep_days BETWEEN 1 AND 36500),
    -- Since when the database can be reached again, and until when a host that has not been heard of since then is
    -- not called silent: those that could not reach it come back over an hour.
    back_since timestamptz NOT NULL DEFAULT 'epoch',
    patient_until timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO cronwrap.settings DEFAULT VALUES;

CREATE TABLE cronwrap.hosts (
    host text PRIMARY KEY,
    joined timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen timestamptz,
    back timestamptz,                       -- when it was heard of first after some minutes
    version text NOT NULL DEFAULT '',
    ship text NOT NULL DEFAULT 'runs',
    skew double precision,                  -- seconds by which the host's clock is ahead of the database's
    quiet boolean NOT NULL DEFAULT false    -- the host may go away without a word
);

-- Who may write in a host's name; `user_name`: for the jobs of that user alone, empty: for all.
CREATE TABLE cronwrap.roles (
    role text NOT NULL,
    host text NOT NULL REFERENCES cronwrap.hosts ON DELETE CASCADE,
    user_name text NOT NULL DEFAULT '',
    PRIMARY KEY (role, host)
);

-- Each user of a host has a history, and sends it. A sender numbers what it sends; `epoch` is that of its numbers.
CREATE TABLE cronwrap.senders (
    host text NOT NULL REFERENCES cronwrap.hosts ON DELETE CASCADE,
    user_name text NOT NULL,
    seen timestamptz,
    epoch text NOT NULL DEFAULT '',
    number bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,      -- runs that it had yet to send
    oldest timestamptz,                     -- the end of the oldest of them
    jobs integer NOT NULL DEFAULT 0,
    failing integer NOT NULL DEFAULT 0,
    running integer NOT NULL DEFAULT 0,
    next timestamptz,                       -- when the first of its jobs is due, by the host's clock
    grace double precision NOT NULL DEFAULT 0,  -- seconds after that in which it is to be heard of
    PRIMARY KEY (host, user_name)
);

-- One row a run. The key of a run that is sent twice is the same twice: its day is that of its end. What is long is at
-- the end of a row, and ids, which begin with the time, at the beginning of the key: a day of a large fleet has many.
CREATE TABLE cronwrap.runs (
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    duration double precision,
    output_bytes bigint NOT NULL,
    max_rss_bytes bigint,
    fence bigint,                           -- of the lease that the run held (--scope fleet)
    day date NOT NULL,
    cpu_seconds real,
    tries integer NOT NULL,
    exit_code smallint,
    signal smallint,
    mailed boolean NOT NULL,
    by_hand boolean NOT NULL,
    late boolean NOT NULL DEFAULT false,    -- it ended after another had been given that lease: it does not count
    host text NOT NULL,
    run text NOT NULL,
    user_name text NOT NULL,
    job text NOT NULL,
    command text NOT NULL,
    result text NOT NULL,
    reasons text NOT NULL,                  -- a line each
    quiet_reason text NOT NULL,
    PRIMARY KEY (day, run, host)
) PARTITION BY RANGE (day);
CREATE INDEX runs_by_time ON cronwrap.runs (started);
CREATE INDEX runs_by_job ON cronwrap.runs (job, started);
CREATE INDEX runs_by_end_of_id ON cronwrap.runs (right(run, 8));  -- what people have before their eyes
CREATE TABLE cronwrap.runs_of_other_days PARTITION OF cronwrap.runs DEFAULT;

-- What is remembered of the output of a run, as the host's history has it: both ends, compressed (zlib).
CREATE TABLE cronwrap.outputs (
    day date NOT NULL,
    host text NOT NULL,
    run text NOT NULL,
    head bytea NOT NULL,
    tail bytea NOT NULL,
    left_out_bytes bigint NOT NULL,
    left_out_lines bigint NOT NULL,
    stretches text NOT NULL,
    PRIMARY KEY (day, host, run)
) PARTITION BY RANGE (day);
CREATE TABLE cronwrap.outputs_of_other_days PARTITION OF cronwrap.outputs DEFAULT;

-- One row an hour of a host's user, for ship = "changes". `jobs` has an object for each job that ran: its name, its
-- results oldest first as lengths and letters (59o1x), how many runs and failures, and how long they took.
CREATE TABLE cronwrap.hours (
    day date NOT NULL,
    host text NOT NULL,
    user_name text NOT NULL,
    hour timestamptz NOT NULL,
    runs integer NOT NULL,
    failures integer NOT NULL,
    jobs jsonb NOT NULL,
    PRIMARY KEY (day, host, user_name, hour)
) PARTITION BY RANGE (day);
CREATE TABLE cronwrap.hours_of_other_days PARTITION OF cronwrap.hours DEFAULT;

-- One row a job of a host, as it stands.
CREATE TABLE cronwrap.jobs (
    host text NOT NULL REFERENCES cronwrap.hosts ON DELETE CASCADE,
    user_name text NOT NULL,
    job text NOT NULL,
    run text NOT NULL DEFAULT '',
    result text NOT NULL DEFAULT '',
    exit_code integer,
    signal integer,
    started timestamptz,
    ended timestamptz,
    duration double precision,
    usual double precision,
    results text NOT NULL DEFAULT '',
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_success timestamptz,
    running text NOT NULL DEFAULT '',
    running_since timestamptz,
    paused_until timestamptz,
    paused boolean NOT NULL DEFAULT false,
    muted boolean NOT NULL DEFAULT false,
    schedule text NOT NULL DEFAULT '',
    next timestamptz,                       -- when the crontab has it start next, by the host's clock
    grace double precision NOT NULL DEFAULT 0,  -- seconds that it may take until its start is known here
    every double precision NOT NULL DEFAULT 0,  -- seconds from then to the time after it
    told timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (host, user_name, job)
);
CREATE INDEX jobs_by_name ON cronwrap.jobs (job, host, user_name);
CREATE INDEX jobs_by_next ON cronwrap.jobs (next) WHERE next IS NOT NULL;
CREATE INDEX jobs_failing ON cronwrap.jobs (failing_since) WHERE failures > 0;

-- Who runs what all hosts would run (--once), and who looks after the fleet: the first row wins.
CREATE TABLE cronwrap.ticks (
    job text NOT NULL,
    user_name text NOT NULL,
    minute timestamptz NOT NULL,
    host text NOT NULL,
    run text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, user_name, minute)
);
CREATE INDEX ticks_by_time ON cronwrap.ticks (at);

-- Who holds a job in the whole fleet (--scope fleet). `fence` only grows.
CREATE TABLE cronwrap.leases (
    job text NOT NULL,
    user_name text NOT NULL,
    host text NOT NULL,
    run text NOT NULL,
    fence bigint NOT NULL,
    until timestamptz NOT NULL,
    wanted boolean NOT NULL DEFAULT false,  -- another run waits for its end (--overlap kill)
    PRIMARY KEY (job, user_name)
);

-- Leases that ran out and were given to another: what their holders did later does not count.
CREATE TABLE cronwrap.lost_leases (
    job text NOT NULL,
    user_name text NOT NULL,
    fence bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, user_name, fence)
);

-- What somebody has been told of, so that nobody is told again.
CREATE TABLE cronwrap.alarms (
    host text NOT NULL,
    user_name text NOT NULL,
    job text NOT NULL,                      -- empty: of the host itself
    due timestamptz NOT NULL,
    by_host text NOT NULL,                  -- who tells it
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    told timestamptz,                       -- when its mail was stored
    over timestamptz,                       -- when that of its end was
    over_by_host text NOT NULL DEFAULT '',  -- who tells its end, since when
    over_at timestamptz,
    PRIMARY KEY (host, user_name, job, due)
);

-- The functions of a host ------------------------------------------------------------------------

-- The time; a function of ours, so that a test can have a week go by.
CREATE FUNCTION cronwrap.present() RETURNS timestamptz LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS 'SELECT clock_timestamp()';

-- Refuse a host's name, or a user's, in which the caller may not write; give the user to whom it is held, if any.
-- Who owns the schema may write in all.
CREATE FUNCTION cronwrap.own_host(p_host text, p_user text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    only_user text;
BEGIN
    SELECT r.user_name INTO only_user FROM cronwrap.roles AS r WHERE r.role = session_user AND r.host = p_host;
    IF FOUND AND (only_user = '' OR p_user IS NULL OR only_user = p_user) THEN
        RETURN only_user;
    END IF;
    IF NOT pg_has_role(session_user, current_user, 'MEMBER') THEN  -- current_user is the owner in here
        RAISE EXCEPTION 'role % may not write in the name of host %, user %: cronwrap fleet init --host % --role %',
            session_user, p_host, coalesce(p_user, '(any)'), p_host, session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO cronwrap.hosts (host) VALUES (p_host) ON CONFLICT DO NOTHING;
    RETURN '';
END $$;

-- Take a batch of a host's runs, each once however often it is sent; give how many were new. `known` is false where
-- the sender was told of more than is here: a backup was put back, or the host was forgotten in between.
CREATE FUNCTION cronwrap.ship(
    p_host text, p_about jsonb, p_runs jsonb, p_outputs jsonb, p_hours jsonb, p_jobs jsonb,
    OUT stored bigint, OUT known boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    present timestamptz := cronwrap.present();
    sender text := p_about->>'user_name';
    only_user text := cronwrap.own_host(p_host, p_about->>'user_name');
    -- By the clock of the host, whatever that says.
    failing_for interval := make_interval(secs => CASE WHEN p_about->>'failed_since' IS NOT NULL THEN
        least((p_about->>'now')::float8 - (p_about->>'failed_since')::float8, 1e9) END);
    ahead interval := make_interval(secs => (p_about->>'now')::float8 - extract(epoch FROM present));
    before cronwrap.senders%ROWTYPE;
    latest boolean;
BEGIN
    IF only_user <> '' AND EXISTS (
        SELECT 1 FROM jsonb_array_elements(p_runs || p_hours || p_jobs) AS r (value)
        WHERE r.value->>'user_name' IS DISTINCT FROM only_user)
    THEN
        RAISE EXCEPTION 'role % may write of user % alone', session_user, only_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- A host that could not reach us, when nobody else could either: it was us. In a fleet that can reach us, some
    -- host has been heard of in three minutes, so that none can say this of its own accord.
    UPDATE cronwrap.settings SET
        back_since = present, patient_until = present + interval '2 minutes' + least(interval '1 hour', failing_for)
    WHERE failing_for > interval '3 minutes' AND NOT EXISTS (
        SELECT 1 FROM cronwrap.hosts AS h
        WHERE h.host <> p_host AND h.seen > present - failing_for + interval '1 minute');
    UPDATE cronwrap.hosts SET
        back = CASE WHEN seen > present - interval '5 minutes' THEN back ELSE present END,
        seen = present,
        version = p_about->>'version',
        ship = p_about->>'ship',
        quiet = (p_about->>'quiet')::boolean,
        skew = extract(epoch FROM ahead)
    WHERE host = p_host;

    -- What was sent before may arrive behind what was sent after it: runs are taken, the rest is out of date.
    INSERT INTO cronwrap.senders (host, user_name) VALUES (p_host, sender) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT before FROM cronwrap.senders AS s WHERE s.host = p_host AND s.user_name = sender FOR UPDATE;
    latest := before.epoch <> p_about->>'epoch' OR before.number <= (p_about->>'number')::bigint;
    known := before.epoch = p_about->>'epoch' AND before.number >= (p_about->>'acknowledged')::bigint;
    UPDATE cronwrap.senders AS s SET
        seen = present,
        epoch = p_about->>'epoch',
        number = (p_about->>'number')::bigint,
        waiting = (p_about->>'waiting')::bigint,
        oldest = to_timestamp((p_about->>'oldest')::float8),
        jobs = (p_about->>'jobs')::integer,
        failing = (p_about->>'failing')::integer,
        running = (p_about->>'running')::integer,
        next = to_timestamp((p_about->>'next')::float8),
        grace = (p_about->>'grace')::float8
    WHERE latest AND s.host = p_host AND s.user_name = sender;

    INSERT INTO cronwrap.runs (
        day, host, run, user_name, job, command, started, ended, duration, result, exit_code, signal, tries,
        reasons, output_bytes, cpu_seconds, max_rss_bytes, mailed, quiet_reason, by_hand, fence, late)
    SELECT
        (to_timestamp(r.ended) AT TIME ZONE 'UTC')::date, p_host, r.run, r.user_name, r.job, r.command,
        to_timestamp(r.started), to_timestamp(r.ended), r.duration, r.result, r.exit_code, r.signal, r.tries,
        r.reasons, r.output_bytes, r.cpu_seconds, r.max_rss_bytes,
        r.mailed, r.quiet_reason, r.by_hand, r.fence,
        r.fence IS NOT NULL AND EXISTS (
            SELECT 1 FROM cronwrap.lost_leases AS l
            WHERE l.job = r.job AND l.user_name = r.user_name AND l.fence = r.fence
                AND l.at < to_timestamp(r.ended) - ahead)  -- it had not ended by then
    FROM jsonb_to_recordset(p_runs) AS r (
        run text, user_name text, job text, command text, started double precision, ended double precision,
        duration double precision, result text, exit_code integer, signal integer, tries integer, reasons text,
        output_bytes bigint, cpu_seconds double precision, max_rss_bytes bigint, mailed boolean,
        quiet_reason text, by_hand boolean, fence bigint)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;

    INSERT INTO cronwrap.outputs (day, host, run, head, tail, left_out_bytes, left_out_lines, stretches)
    SELECT
        (to_timestamp(o.ended) AT TIME ZONE 'UTC')::date, p_host, o.run, decode(o.head, 'base64'),
        decode(o.tail, 'base64'), o.left_out_bytes, o.left_out_lines, o.stretches
    FROM jsonb_to_recordset(p_outputs) AS o (
        ended double precision, run text, head text, tail text, left_out_bytes bigint, left_out_lines bigint,
        stretches text)
    WHERE EXISTS (SELECT 1 FROM jsonb_array_elements(p_runs) AS r (value) WHERE r.value->>'run' = o.run)
    ON CONFLICT DO NOTHING;

    INSERT INTO cronwrap.hours (day, host, user_name, hour, runs, failures, jobs)
    SELECT
        (to_timestamp(h.hour) AT TIME ZONE 'UTC')::date, p_host, h.user_name, to_timestamp(h.hour), h.runs, h.failures,
        h.jobs
    FROM jsonb_to_recordset(p_hours) AS h (
        user_name text, hour double precision, runs integer, failures integer, jobs jsonb)
    ON CONFLICT (day, host, user_name, hour) DO UPDATE SET
        runs = excluded.runs, failures = excluded.failures, jobs = excluded.jobs
    WHERE excluded.runs > cronwrap.hours.runs;  -- else the host has forgotten some of them by now

    INSERT INTO cronwrap.jobs (
        host, user_name, job, run, result, exit_code, signal, started, ended, duration, usual, results, failures,
        failing_since, last_success, running, running_since, paused, paused_until, muted, schedule, next,
        grace, every)
    SELECT
        p_host, j.user_name, j.job, j.run, j.result, j.exit_code, j.signal, to_timestamp(j.started),
        to_timestamp(j.ended), j.duration, j.usual, j.results, j.failures, to_timestamp(j.failing_since),
        to_timestamp(j.last_success), j.running, to_timestamp(j.running_since), j.paused,
        to_timestamp(j.paused_until), j.muted, j.schedule, to_timestamp(j.next), j.grace,
        j.every
    FROM jsonb_to_recordset(p_jobs) AS j (
        user_name text, job text, run text, result text, exit_code integer, signal integer,
        started double precision, ended double precision, duration double precision, usual double precision,
        results text, failures integer, failing_since double precision, last_success double precision,
        running text, running_since double precision, paused boolean, paused_until double precision,
        muted boolean, schedule text, next double precision, grace double precision, every double precision)
    WHERE latest
    ON CONFLICT (host, user_name, job) DO UPDATE SET
        run = excluded.run, result = excluded.result, exit_code = excluded.exit_code, signal = excluded.signal,
        started = excluded.started, ended = excluded.ended, duration = excluded.duration, usual = excluded.usual,
        results = excluded.results, failures = excluded.failures, failing_since = excluded.failing_since,
        last_success = excluded.last_success, running = excluded.running,
        running_since = excluded.running_since, paused = excluded.paused, paused_until = excluded.paused_until,
        muted = excluded.muted, schedule = excluded.schedule, next = excluded.next, grace = excluded.grace,
        every = excluded.every, told = present;
END $$;

-- Claim a minute of a job for a run; give the host and the run that have it. Asked again, it gives the same again.
-- A minute that is far from ours is none: nobody takes what is to come, and nobody what is forgotten.
CREATE FUNCTION cronwrap.claim(
    p_host text, p_job text, p_user text, p_minute double precision, p_run text, OUT host text, OUT run text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host, p_user);
    IF p_job = '' OR p_minute NOT BETWEEN extract(epoch FROM clock_timestamp()) - 86400
        AND extract(epoch FROM clock_timestamp()) + 3600
    THEN
        RAISE EXCEPTION 'this host''s clock is too far from the database''s to claim a minute'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO cronwrap.ticks (job, user_name, minute, host, run)
    VALUES (p_job, p_user, to_timestamp(p_minute), p_host, p_run) ON CONFLICT DO NOTHING;
    SELECT t.host, t.run INTO STRICT claim.host, claim.run FROM cronwrap.ticks AS t
    WHERE t.job = p_job AND t.user_name = p_user AND t.minute = to_timestamp(p_minute);
END $$;

-- Take the lease of a job for some seconds, or extend it; give its fence, or who has it and for how long. `p_want`
-- asks the holder to end.
CREATE FUNCTION cronwrap.lease(
    p_host text, p_job text, p_user text, p_run text, p_seconds double precision, p_want boolean,
    OUT fence bigint, OUT host text, OUT run text, OUT remaining double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held cronwrap.leases%ROWTYPE;
    life interval := make_interval(secs => least(greatest(p_seconds, 1), 3600));
BEGIN
    PERFORM cronwrap.own_host(p_host, p_user);
    INSERT INTO cronwrap.leases (job, user_name, host, run, fence, until)
    VALUES (p_job, p_user, '', '', 0, 'epoch') ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT held FROM cronwrap.leases AS l WHERE l.job = p_job AND l.user_name = p_user FOR UPDATE;
    IF held.host = p_host AND held.run = p_run AND held.until > 'epoch' THEN
        UPDATE cronwrap.leases AS l SET until = clock_timestamp() + life
        WHERE l.job = p_job AND l.user_name = p_user;
        fence := held.fence;
    ELSIF held.until < clock_timestamp() THEN
        IF held.until > 'epoch' THEN
            INSERT INTO cronwrap.lost_leases (job, user_name, fence) VALUES (p_job, p_user, held.fence);
        END IF;
        UPDATE cronwrap.leases AS l
        SET host = p_host, run = p_run, fence = held.fence + 1, until = clock_timestamp() + life, wanted = false
        WHERE l.job = p_job AND l.user_name = p_user;
        fence := held.fence + 1;
    ELSIF p_want THEN
        UPDATE cronwrap.leases AS l SET wanted = true WHERE l.job = p_job AND l.user_name = p_user;
    END IF;
    host := held.host;
    run := held.run;
    remaining := extract(epoch FROM held.until - clock_timestamp());
    IF fence IS NOT NULL THEN
        host := p_host;
        run := p_run;
        remaining := extract(epoch FROM life);
    END IF;
END $$;

-- Extend a lease; `kept` is false when another has been given it, who is named then. `wanted`: its end is asked for.
CREATE FUNCTION cronwrap.renew(
    p_host text, p_job text, p_user text, p_run text, p_fence bigint, p_seconds double precision,
    OUT kept boolean, OUT wanted boolean, OUT host text, OUT run text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host, p_user);
    UPDATE cronwrap.leases AS l
    SET until = clock_timestamp() + make_interval(secs => least(greatest(p_seconds, 1), 3600))
    WHERE l.job = p_job AND l.user_name = p_user AND l.host = p_host AND l.run = p_run AND l.fence = p_fence
    RETURNING l.wanted INTO renew.wanted;
    kept := FOUND;
    SELECT l.host, l.run INTO renew.host, renew.run FROM cronwrap.leases AS l
    WHERE l.job = p_job AND l.user_name = p_user;
END $$;

-- Give a lease back.
CREATE FUNCTION cronwrap.release(p_host text, p_job text, p_user text, p_run text, p_fence bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host, p_user);
    UPDATE cronwrap.leases AS l SET until = 'epoch', wanted = false
    WHERE l.job = p_job AND l.user_name = p_user AND l.host = p_host AND l.run = p_run AND l.fence = p_fence;
    RETURN FOUND;
END $$;

-- Give the names of the hosts that were heard of within the last day, and nothing else of them: for who is to
-- decide without the database (--unreachable elect).
CREATE FUNCTION cronwrap.peers(p_host text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host, NULL);
    RETURN QUERY SELECT h.host FROM cronwrap.hosts AS h
    WHERE h.seen > clock_timestamp() - interval '1 day' ORDER BY h.host;
END $$;

-- Look, once a minute in the whole fleet, for what was due and has not come, and for what has come again. Gives
-- what its caller is to tell, and takes it for told when `told` says so; else another host tells it later.
CREATE FUNCTION cronwrap.watch(p_host text)
RETURNS TABLE (what text, host text, user_name text, job text, schedule text, due timestamptz, seen timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := cronwrap.present();
BEGIN
    PERFORM cronwrap.own_host(p_host, NULL);
    INSERT INTO cronwrap.ticks (job, user_name, minute, host, run)
    VALUES ('', 'watch', date_trunc('minute', present), p_host, '') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH up AS (  -- the hosts that have no leave to be away
        SELECT h.host, h.seen, h.back, make_interval(secs => coalesce(h.skew, 0)) AS ahead
        FROM cronwrap.hosts AS h CROSS JOIN cronwrap.settings AS s
        WHERE NOT h.quiet AND (present > s.patient_until OR h.seen > s.back_since)
    ), found AS (
        SELECT 'missed' AS what, j.host, j.user_name, j.job, j.schedule, j.next AS due, u.seen
        FROM cronwrap.jobs AS j JOIN up AS u ON u.host = j.host
        WHERE j.next < present + u.ahead - make_interval(secs => j.grace) AND j.next <= u.seen + u.ahead
            AND j.running = '' AND NOT j.muted
            -- A host that comes back has a moment to start what it starts.
            AND (u.back IS NULL OR u.back < present - make_interval(secs => j.grace))
            -- What was due while it was silent is not told of one by one; it has until its next time.
            AND NOT EXISTS (
                SELECT 1 FROM cronwrap.alarms AS a
                WHERE a.host = j.host AND a.job = '' AND a.told IS NOT NULL AND j.next >= a.due
                    AND (a.over IS NULL OR j.next <= a.over + u.ahead
                        AND present < a.over + make_interval(secs => j.every + j.grace)))
            AND NOT (j.paused AND (j.paused_until IS NULL OR j.paused_until > j.next))
        UNION ALL
        SELECT 'silent', s.host, '', '', '', min(s.next), min(u.seen)
        FROM cronwrap.senders AS s JOIN up AS u ON u.host = s.host
        WHERE s.next < present + u.ahead - make_interval(secs => s.grace) AND s.next > u.seen + u.ahead
        GROUP BY s.host
    ), claimed AS (
        INSERT INTO cronwrap.alarms AS a (host, user_name, job, due, by_host, at)
        SELECT f.host, f.user_name, f.job, f.due, p_host, present FROM found AS f
        WHERE NOT EXISTS (  -- one that has not ended, of the host for all its jobs
            SELECT 1 FROM cronwrap.alarms AS a
            WHERE a.host = f.host AND a.user_name = f.user_name AND a.job = f.job AND a.told IS NOT NULL
                AND a.over IS NULL)
        ON CONFLICT ON CONSTRAINT alarms_pkey DO UPDATE SET by_host = excluded.by_host, at = excluded.at
            WHERE a.told IS NULL AND a.at < present - interval '5 minutes'
        RETURNING a.host, a.user_name, a.job, a.due
    ), ended AS (
        UPDATE cronwrap.alarms AS a SET over_by_host = p_host, over_at = present
        FROM cronwrap.hosts AS h
        WHERE h.host = a.host AND a.told IS NOT NULL AND a.over IS NULL
            AND (a.over_at IS NULL OR a.over_at < present - interval '5 minutes')
            AND CASE a.job WHEN '' THEN h.seen > a.told ELSE EXISTS (
                SELECT 1 FROM cronwrap.jobs AS j
                WHERE j.host = a.host AND j.user_name = a.user_name AND j.job = a.job
                    AND greatest(j.started, j.running_since) >= a.due) END
        RETURNING a.host, a.user_name, a.job, a.due, h.seen
    )
    SELECT f.* FROM found AS f JOIN claimed AS c USING (host, user_name, job, due)
    UNION ALL
    SELECT CASE e.job WHEN '' THEN 'heard' ELSE 'ran' END, e.host, e.user_name, e.job, coalesce(j.schedule, ''), e.due,
        e.seen
    FROM ended AS e
    LEFT JOIN cronwrap.jobs AS j ON j.host = e.host AND j.user_name = e.user_name AND j.job = e.job;
END $$;

-- Take note that what `watch` gave has been told, by the host to which it was given.
CREATE FUNCTION cronwrap.told(p_host text, p_alarms jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host, NULL);
    UPDATE cronwrap.alarms AS a SET
        told = coalesce(a.told, cronwrap.present()),
        over = CASE WHEN t.what IN ('heard', 'ran') THEN cronwrap.present() END
    FROM jsonb_to_recordset(p_alarms) AS t (
        what text, host text, user_name text, job text, due double precision)
    WHERE a.host = t.host AND a.user_name = t.user_name AND a.job = t.job AND a.over IS NULL
        AND CASE WHEN t.what IN ('heard', 'ran') THEN a.over_by_host ELSE a.by_host END = p_host
        AND a.due BETWEEN to_timestamp(t.due - 0.001) AND to_timestamp(t.due + 0.001);
END $$;

-- Look after the tables once an hour in the whole fleet: days to come get a place, old days go. The caller wins
-- that by the row it writes; others give false at once.
CREATE FUNCTION cronwrap.housekeep(p_host text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host, NULL);
    INSERT INTO cronwrap.ticks (job, user_name, minute, host, run)
    VALUES ('', 'housekeeping', date_trunc('hour', clock_timestamp()), p_host, '') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM cronwrap.prune();
    RETURN true;
END $$;

-- Make the partitions of today and the two days after it, and drop those before the days that are kept.
-- Where somebody looks at a table just then it gives up soon, since all that is sent would wait behind it.
CREATE FUNCTION cronwrap.prune() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    parent text;
    part text;
    day date;
    dropped integer := 0;
    oldest date;
BEGIN
    SELECT today - keep_days INTO oldest FROM cronwrap.settings;
    FOREACH parent IN ARRAY ARRAY['runs', 'outputs', 'hours'] LOOP
        FOR day IN SELECT today + n FROM generate_series(0, 2) AS n LOOP
            part := parent || '_' || to_char(day, 'YYYYMMDD');
            IF to_regclass('cronwrap.' || part) IS NULL THEN
                -- What came before its day had a place is moved there.
                EXECUTE format('CREATE TABLE cronwrap.%I (LIKE cronwrap.%I INCLUDING DEFAULTS)', part, parent);
                EXECUTE format(
                    'WITH moved AS (DELETE FROM cronwrap.%I WHERE day = %L RETURNING *) '
                    'INSERT INTO cronwrap.%I SELECT * FROM moved',
                    parent || '_of_other_days', day, part);
                EXECUTE format(
                    'ALTER TABLE cronwrap.%I ATTACH PARTITION cronwrap.%I FOR VALUES FROM (%L) TO (%L)',
                    parent, part, day, day + 1);
            END IF;
        END LOOP;
        FOR part IN
            SELECT c.relname FROM pg_inherits AS i
            JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = ('cronwrap.' || parent)::regclass AND c.relname ~ '_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < oldest
        LOOP
            EXECUTE format('DROP TABLE cronwrap.%I', part);
            dropped := dropped + 1;
        END LOOP;
        EXECUTE format(
            'DELETE FROM cronwrap.%I WHERE day < %L', parent || '_of_other_days', oldest);
    END LOOP;
    DELETE FROM cronwrap.ticks WHERE at < clock_timestamp() - interval '2 days';
    DELETE FROM cronwrap.lost_leases WHERE at < oldest;
    DELETE FROM cronwrap.alarms WHERE at < oldest;
    -- A job that was renamed, or is no more.
    DELETE FROM cronwrap.jobs WHERE told < oldest AND next IS NULL AND running = '';
    RETURN dropped;
END $$;

-- Forget a host; for who owns the schema.
CREATE FUNCTION cronwrap.forget(p_host text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM cronwrap.runs WHERE host = p_host;
    DELETE FROM cronwrap.outputs WHERE host = p_host;
    DELETE FROM cronwrap.hours WHERE host = p_host;
    DELETE FROM cronwrap.alarms WHERE host = p_host;
    DELETE FROM cronwrap.leases WHERE host = p_host;
    DELETE FROM cronwrap.hosts WHERE host = p_host;
    RETURN FOUND;
END $$;

REVOKE ALL ON FUNCTION cronwrap.present() FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.own_host(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.ship(text, jsonb, jsonb, jsonb, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.claim(text, text, text, double precision, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.lease(text, text, text, text, double precision, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.renew(text, text, text, text, bigint, double precision) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.release(text, text, text, text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.peers(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.watch(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.told(text, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.housekeep(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.prune() FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.forget(text) FROM PUBLIC;
