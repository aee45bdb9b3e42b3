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
    keep_days integer NOT NULL DEFAULT 90 CHECK (keep_days BETWEEN 1 AND 36500)
);
INSERT INTO cronwrap.settings DEFAULT VALUES;

CREATE TABLE cronwrap.hosts (
    host text PRIMARY KEY,
    role text NOT NULL,
    joined timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen timestamptz,
    version text NOT NULL DEFAULT '',
    ship text NOT NULL DEFAULT 'runs',
    skew double precision,                  -- seconds by which the host's clock is ahead of the database's
    waiting bigint NOT NULL DEFAULT 0,      -- runs that the host had yet to send
    oldest timestamptz,                     -- the end of the oldest of them
    quiet boolean NOT NULL DEFAULT false    -- the host may go away without a word
);

-- One row a run. The key of a run that is sent twice is the same twice: its day is that of its end.
CREATE TABLE cronwrap.runs (
    day date NOT NULL,
    host text NOT NULL,
    run text NOT NULL,
    user_name text NOT NULL,
    job text NOT NULL,
    command text NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    duration double precision,
    result text NOT NULL,
    exit_code integer,
    signal integer,
    tries integer NOT NULL,
    reasons text[] NOT NULL,
    output_bytes bigint NOT NULL,
    cpu_seconds double precision,
    max_rss_bytes bigint,
    mailed boolean NOT NULL,
    quiet_reason text NOT NULL,
    by_hand boolean NOT NULL,
    fence bigint,                           -- of the lease that the run held (--scope fleet)
    late boolean NOT NULL DEFAULT false,    -- it ended after another had been given that lease: it does not count
    PRIMARY KEY (day, host, run)
) PARTITION BY RANGE (day);
CREATE INDEX runs_by_time ON cronwrap.runs (started);
CREATE INDEX runs_by_job ON cronwrap.runs (job, started);
CREATE INDEX runs_by_id ON cronwrap.runs (run);
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

-- One row a job and hour, for ship = "changes": results as a strip of one letter a run, oldest first.
CREATE TABLE cronwrap.hours (
    day date NOT NULL,
    host text NOT NULL,
    user_name text NOT NULL,
    job text NOT NULL,
    hour timestamptz NOT NULL,
    results text NOT NULL,
    runs integer NOT NULL,
    failures integer NOT NULL,
    p50 double precision,
    p95 double precision,
    longest double precision,
    PRIMARY KEY (day, host, user_name, job, hour)
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
    next timestamptz,                       -- when the crontab has it start next, as of `told`
    told timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (host, user_name, job)
);
CREATE INDEX jobs_by_name ON cronwrap.jobs (job);
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

-- What somebody has been told of, so that nobody is told again.
CREATE TABLE cronwrap.alarms (
    host text NOT NULL,
    user_name text NOT NULL,
    job text NOT NULL,                      -- empty: of the host itself
    due timestamptz NOT NULL,
    by_host text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    over timestamptz,                       -- when it was told that all is well again
    PRIMARY KEY (host, user_name, job, due)
);

-- The functions of a host ------------------------------------------------------------------------

-- Refuse a host's name that belongs to another role; an unknown one becomes the caller's.
CREATE FUNCTION cronwrap.own_host(p_host text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner text;
BEGIN
    INSERT INTO cronwrap.hosts (host, role) VALUES (p_host, session_user) ON CONFLICT DO NOTHING;
    SELECT role INTO owner FROM cronwrap.hosts WHERE host = p_host;
    IF owner IS DISTINCT FROM session_user::text THEN
        RAISE EXCEPTION 'the host name % belongs to another role than %', p_host, session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- Take a batch of a host's runs, each once however often it is sent; give how many were new.
CREATE FUNCTION cronwrap.ship(p_host text, p_about jsonb, p_runs jsonb, p_outputs jsonb, p_hours jsonb, p_jobs jsonb)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stored bigint;
BEGIN
    PERFORM cronwrap.own_host(p_host);
    UPDATE cronwrap.hosts SET
        seen = clock_timestamp(),
        version = p_about->>'version',
        ship = p_about->>'ship',
        quiet = (p_about->>'quiet')::boolean,
        waiting = (p_about->>'waiting')::bigint,
        oldest = to_timestamp((p_about->>'oldest')::double precision),
        skew = (p_about->>'now')::double precision - extract(epoch FROM clock_timestamp())
    WHERE host = p_host;

    INSERT INTO cronwrap.runs (
        day, host, run, user_name, job, command, started, ended, duration, result, exit_code, signal, tries,
        reasons, output_bytes, cpu_seconds, max_rss_bytes, mailed, quiet_reason, by_hand, fence, late)
    SELECT
        (to_timestamp(r.ended) AT TIME ZONE 'UTC')::date, p_host, r.run, r.user_name, r.job, r.command,
        to_timestamp(r.started), to_timestamp(r.ended), r.duration, r.result, r.exit_code, r.signal, r.tries,
        ARRAY(SELECT jsonb_array_elements_text(r.reasons)), r.output_bytes, r.cpu_seconds, r.max_rss_bytes,
        r.mailed, r.quiet_reason, r.by_hand, r.fence,
        r.fence IS NOT NULL AND EXISTS (
            SELECT 1 FROM cronwrap.leases AS l
            WHERE l.job = r.job AND l.user_name = r.user_name AND l.fence > r.fence AND r.superseded)
    FROM jsonb_to_recordset(p_runs) AS r (
        run text, user_name text, job text, command text, started double precision, ended double precision,
        duration double precision, result text, exit_code integer, signal integer, tries integer, reasons jsonb,
        output_bytes bigint, cpu_seconds double precision, max_rss_bytes bigint, mailed boolean,
        quiet_reason text, by_hand boolean, fence bigint, superseded boolean)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;

    INSERT INTO cronwrap.outputs (day, host, run, head, tail, left_out_bytes, left_out_lines, stretches)
    SELECT
        (to_timestamp(o.ended) AT TIME ZONE 'UTC')::date, p_host, o.run, decode(o.head, 'base64'),
        decode(o.tail, 'base64'), o.left_out_bytes, o.left_out_lines, o.stretches
    FROM jsonb_to_recordset(p_outputs) AS o (
        ended double precision, run text, head text, tail text, left_out_bytes bigint, left_out_lines bigint,
        stretches text)
    ON CONFLICT DO NOTHING;

    INSERT INTO cronwrap.hours (
        day, host, user_name, job, hour, results, runs, failures, p50, p95, longest)
    SELECT
        (to_timestamp(h.hour) AT TIME ZONE 'UTC')::date, p_host, h.user_name, h.job, to_timestamp(h.hour),
        h.results, h.runs, h.failures, h.p50, h.p95, h.longest
    FROM jsonb_to_recordset(p_hours) AS h (
        user_name text, job text, hour double precision, results text, runs integer, failures integer,
        p50 double precision, p95 double precision, longest double precision)
    ON CONFLICT (day, host, user_name, job, hour) DO UPDATE SET
        results = excluded.results, runs = excluded.runs, failures = excluded.failures, p50 = excluded.p50,
        p95 = excluded.p95, longest = excluded.longest
    WHERE excluded.runs >= cronwrap.hours.runs;

    -- A batch that was sent before may arrive behind the one after it.
    INSERT INTO cronwrap.jobs (
        host, user_name, job, run, result, exit_code, signal, started, ended, duration, usual, results, failures,
        failing_since, last_success, running, running_since, paused, paused_until, muted, schedule, next)
    SELECT
        p_host, j.user_name, j.job, j.run, j.result, j.exit_code, j.signal, to_timestamp(j.started),
        to_timestamp(j.ended), j.duration, j.usual, j.results, j.failures, to_timestamp(j.failing_since),
        to_timestamp(j.last_success), j.running, to_timestamp(j.running_since), j.paused,
        to_timestamp(j.paused_until), j.muted, j.schedule, to_timestamp(j.next)
    FROM jsonb_to_recordset(p_jobs) AS j (
        user_name text, job text, run text, result text, exit_code integer, signal integer,
        started double precision, ended double precision, duration double precision, usual double precision,
        results text, failures integer, failing_since double precision, last_success double precision,
        running text, running_since double precision, paused boolean, paused_until double precision,
        muted boolean, schedule text, next double precision)
    ON CONFLICT (host, user_name, job) DO UPDATE SET
        run = excluded.run, result = excluded.result, exit_code = excluded.exit_code, signal = excluded.signal,
        started = excluded.started, ended = excluded.ended, duration = excluded.duration, usual = excluded.usual,
        results = excluded.results, failures = excluded.failures, failing_since = excluded.failing_since,
        last_success = excluded.last_success, running = excluded.running,
        running_since = excluded.running_since, paused = excluded.paused, paused_until = excluded.paused_until,
        muted = excluded.muted, schedule = excluded.schedule, next = excluded.next, told = clock_timestamp()
    WHERE cronwrap.jobs.ended IS NULL OR excluded.ended >= cronwrap.jobs.ended;
    RETURN stored;
END $$;

-- Look after the tables once an hour in the whole fleet: days to come get a place, old days go. The caller wins
-- that by the row it writes; others give false at once.
CREATE FUNCTION cronwrap.housekeep(p_host text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM cronwrap.own_host(p_host);
    INSERT INTO cronwrap.ticks (job, user_name, minute, host, run)
    VALUES ('', 'housekeeping', date_trunc('hour', clock_timestamp()), p_host, '') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM cronwrap.prune();
    RETURN true;
END $$;

-- Make the partitions of today and the two days after it, and drop those before the days that are kept.
CREATE FUNCTION cronwrap.prune() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
    DELETE FROM cronwrap.alarms WHERE at < oldest;
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

REVOKE ALL ON FUNCTION cronwrap.own_host(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.ship(text, jsonb, jsonb, jsonb, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.housekeep(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.prune() FROM PUBLIC;
REVOKE ALL ON FUNCTION cronwrap.forget(text) FROM PUBLIC;
