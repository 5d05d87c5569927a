/* The delivery lane (docs/adr/0022), for SPIN 6.5. Read it beside integrations/delivery/; README.md maps one to the other.

   One lane. Every atomic{} is one SQL statement, one transaction or one step inside a process; between two of them
   anything may happen. What is switched on by -D (run.py holds the list):

   R SAVERS W       rows, processes that save them, workers            (2, 2, 2)
   QCAP ROUNDS      more hints than this in the broker are a fault; sweeps after all is quiet
   SAMEOBJ          rows 0 and 1 are of one object
   BEATS            sweeps at any moment, besides those after all is quiet
   CRASH LOSS DUP   how many workers (or sweeps) die at any statement, hints are lost, hints arrive twice
   SLOW STALL       how many leases run out while the holder lives: at any moment; only while it is not sending
   FAIL REFUSE      a row may fail (two in a row: a pause); be answered so that the integration is disabled
   POISON           this row kills whoever sends it
   WHILE_SENDING    workers die with requests under way only
   LONG_MARK        a mark is still young when a lease has run out: HINT_SECONDS > LEASE_SECONDS
   PERSON           one of the person's scenarios below runs at any moment
   MUT_...          one thing done wrong: the run must fail */

#ifndef R
#define R 2
#endif
#ifndef SAVERS
#define SAVERS 2
#endif
#ifndef W
#define W 2
#endif
#ifndef BEATS
#define BEATS 0
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifndef LOSS
#define LOSS 0
#endif
#ifndef DUP
#define DUP 0
#endif
#ifndef SLOW
#define SLOW 0
#endif
#ifndef STALL
#define STALL 0
#endif
#ifndef POISON
#define POISON 99
#endif
#ifndef QCAP
#define QCAP 4          /* the bound on hints: more in the broker is a broken promise */
#endif
#ifndef ROUNDS
#define ROUNDS 1        /* sweeps after all is quiet */
#endif
#ifndef PERSON
#define PERSON 0
#endif
#define DEATHS 2        /* the code: 5 */
#define SLICE R

/* The promises. pan prints the broken one: "assertion violated ((...)||(3==0))". */
#define FORGOTTEN  (1==0)    /* a committed row waits, and nobody will look */
#define LATE       (2==0)    /* ... not even after lease and sweep */
#define SENDERS    (3==0)    /* two send one lane's rows */
#define ORDER      (4==0)    /* a later row of an object overtakes */
#define COPY       (5==0)    /* a copy without crash, lost lease or replay */
#define PERSONS    (6==0)    /* what a person did is undone */
#define BUSY       (7==0)    /* turns that find nothing wake each other */
#define BOUND      (8==0)    /* hints pile up */
#define POISONED   (9==0)    /* a row that kills workers stays, or hurts its neighbours */
#define promise(cond, name)  assert((cond) || name)

#define ABSENT 0
#define PEND 1
#define SYNCED 2
#define FAILED 3
#define CANCELLED 4
#define NOTURN 255
#define NONE 0
#define FRESH 1
#define OLD 2

/* IntegrationSync */
byte st[R]; bit due[R]; byte attempts[R]; byte generation[R]; byte deaths[R];
/* Lane. The token is the turn under which the lane was taken: unique, as the random one of the code. */
byte holder = NONE; bit expired = 0; byte turn = 0; byte mark = NONE; bit paused = 0; byte fails = 0;
byte epoch = 0; byte careful = 0; bit gone = 0;
/* TenantIntegration: ours and the person's switch; version of the encrypted settings */
bit is_enabled = 1; bit is_active = 1; byte settings = 0;
/* the broker; what each saving process remembers: at which turn it has hinted */
chan q = [QCAP] of { byte };
byte memory[2];

/* Observers: no code reads them. */
byte sends[R]; byte taken[R]; byte again[R]; byte era[R]; byte eras = 0;
bit cancelled0 = 0; bit retried0 = 0;       /* row 0 was cancelled; retried and not begun since */
byte acts = 0;                              /* resumed, re-enabled, settings mended */
byte barren = 0;                            /* looks in a row that hinted though their turn did nothing */
byte takeovers = 0; bit flying[2]; byte begun = 0;     /* begun: the token under which requests are under way */
byte crashes = 0, losses = 0, dups = 0, slows = 0; byte die = 0; bit up[2];

#define IN(set, i)   (((set) >> (i)) & 1)
#define FREE         (holder == NONE || expired)
#define FIRST(i)     !(SAMEOBJ && (i) == 1 && st[0] == PEND)
#define HEAD(i)      (st[i] == PEND && due[i] && FIRST(i))
#if R > 2
#define ANYHEAD      (HEAD(0) || HEAD(1) || HEAD(2))
#define ANYPEND      (st[0] == PEND || st[1] == PEND || st[2] == PEND)
#define ANYDUE       ((st[0] == PEND && due[0]) || (st[1] == PEND && due[1]) || (st[2] == PEND && due[2]))
#else
#define ANYHEAD      (HEAD(0) || HEAD(1))
#define ANYPEND      (st[0] == PEND || st[1] == PEND)
#define ANYDUE       ((st[0] == PEND && due[0]) || (st[1] == PEND && due[1]))
#endif
#ifdef SAMEOBJ
#undef SAMEOBJ
#define SAMEOBJ 1
#else
#define SAMEOBJ 0
#endif
/* The predicate: reading, look and sweep ask this one. Rows of what is switched off want cancelling. */
#define WORK         ((is_active && is_enabled && ANYHEAD) || (!is_active && ANYPEND))
#define OPEN         (!gone && FREE && !paused)
#define ASKED        (mark == FRESH)

inline send(what) {
    atomic { if
    :: losses < LOSS -> losses++; printf("hint %d lost\n", what)
    :: dups < DUP && len(q) + 1 < QCAP -> dups++; q!what; q!what
    :: nfull(q) -> q!what; printf("hint %d\n", what)
    :: full(q) -> promise(false, BOUND)
    fi }
}

/* wake-up: after a commit, a process looks at the lane and writes nothing */
inline hint_after_commit(p) {
    atomic {
        asks = 0;
        if
#ifdef MUT_MEMORY_WITHOUT_TURN
        :: OPEN && (is_enabled || !is_active) && !ASKED && memory[p] == NOTURN -> asks = 1; seen = turn
#elif defined(MUT_NO_MEMORY)
        :: OPEN && (is_enabled || !is_active) && !ASKED -> asks = 1; seen = turn
#else
        :: OPEN && (is_enabled || !is_active) && !ASKED && memory[p] != turn -> asks = 1; seen = turn
#endif
        :: else
        fi
    }
    if
    :: asks -> atomic { send(seen); memory[p] = seen; asks = 0; seen = 0 }
    :: else
    fi
}

/* the look of the sweep, and of a worker that gave its lane back: find, mark, then send */
inline look(predicate) {
#ifdef MUT_MARK_AFTER
    atomic { asks = 0; if :: OPEN && (predicate) && !ASKED -> asks = 1; seen = turn :: else fi }
    if
    :: asks -> send(seen); atomic { if :: !gone -> mark = FRESH :: else fi; asks = 0; seen = 0 }
    :: else
    fi
#else
    atomic { asks = 0; if :: OPEN && (predicate) && !ASKED ->
#ifndef MUT_SWEEP_UNMARKED
        mark = FRESH;
#endif
        asks = 1; seen = turn :: else fi }
    if
    :: asks -> atomic {
        if
#ifndef WHILE_SENDING
        :: crashes < CRASH -> crashes++               /* dies with the mark made */
#endif
        :: send(seen)
        fi;
        asks = 0; seen = 0 }
    :: else
    fi
#endif
}

proctype save(byte p) {
    byte i = p; byte seen; byte its_era; bit asks; bit wanted;
    do
    :: i < R ->
        atomic {
            wanted = is_active && !gone; its_era = eras;               /* who subscribes? */
#if PERSON & 8
        }
        atomic {
#endif
            if                                                         /* COMMIT */
            :: wanted && !gone -> st[i] = PEND; due[i] = 1; era[i] = its_era; barren = 0; printf("row %d\n", i)
            :: else -> wanted = 0
            fi;
            its_era = 0
        }
        if
        :: wanted -> hint_after_commit(p)
        :: else
        fi;
        i = i + SAVERS
    :: else -> break
    od
}

/* every field that a holder has in hand; reset so that equal states are equal */
inline forget() {
    t = 0; token = 0; slice = 0; ok = 0; bad = 0; i = 0; its_epoch = 0; its_settings = 0; its_fails = 0;
    its_generation = 0; acts_at = 0; pausing = 0; refused = 0; worked = 0; on = 0; asks = 0; seen = 0; one = 0; up[w] = 0
}

inline choose() {
    slice = 0; one = (careful > 0);
    for (i : 0 .. R - 1) {
        if
        :: st[i] == PEND && due[i] && deaths[i] == 0 && (FIRST(i) || IN(slice, 0)) && !(one && slice) ->
            slice = slice | (1 << i)
        :: else
        fi
    }
    if
    :: slice == 0 ->                    /* a suspect goes after all others, alone */
        for (i : 0 .. R - 1) {
            if :: slice == 0 && HEAD(i) -> slice = 1 << i; one = 1 :: else fi
        }
    :: else
    fi;
    i = 0
}

proctype worker(byte w) {
    byte t, token, slice, ok, bad, i, its_epoch, its_settings, its_fails, its_generation, acts_at, seen;
    bit pausing, refused, worked, on, asks, one;
start:
    {
        t = 0;
end_idle:
        atomic { q?t; up[w] = 1 }
        atomic {                                                       /* take: one conditional UPDATE */
            if
            :: OPEN && (t == turn || t == NOTURN) ->
                if
                :: holder != NONE ->
                    takeovers++;
#ifndef MUT_NOT_CAREFUL
                    careful = SLICE
#endif
                :: else
                fi;
                turn++; token = turn; holder = token; expired = 0;
#if !defined(MUT_CLEAR_AT_RELEASE) && !defined(MUT_CLEAR_AFTER_LOOK)
                mark = NONE;
#endif
                printf("worker %d takes turn %d\n", w, token)
            :: else -> printf("hint %d dropped\n", t); forget(); goto start
            fi;
            t = 0
        }
again_slice:
        atomic {                                                       /* lane and integration, by the token */
            if :: gone || holder != token -> forget(); goto start :: else fi;
            its_epoch = epoch; its_settings = settings; its_fails = fails; pausing = 0; refused = 0;
            if :: !is_active -> goto cancel :: !is_enabled && is_active -> goto back :: else fi;
#if PERSON
        }
        atomic {                                                       /* the rows */
#endif
            choose(); its_generation = generation[0]; ok = 0; bad = 0;
            if :: slice == 0 -> goto back :: else fi;
#if PERSON || SLOW || STALL
        }
        atomic {                                                       /* ask again: renew before the first request */
#endif
#ifndef MUT_NOT_ASKING
            if :: gone || holder != token -> forget(); goto start :: else -> expired = 0; begun = token fi
#else
            skip
#endif
        }
        do
        :: i < R && IN(slice, i) ->
            if
            :: one ->
                atomic {                                               /* counted before the request, under the fence */
                    if
                    :: gone || holder != token -> forget(); goto start
                    :: !gone && holder == token && (st[i] != PEND || (i == 0 && generation[0] != its_generation)) ->
                        slice = 0; i = R                               /* a person was faster */
                    :: !gone && holder == token && st[i] == PEND && !(i == 0 && generation[0] != its_generation) ->
                        if
                        :: deaths[i] >= DEATHS ->
                            st[i] = FAILED; worked = 1; barren = 0; slice = 0; i = R;
                            printf("given up\n")
                        :: else ->
#ifndef MUT_DEATHS_UNCOUNTED
                            deaths[i]++
#endif
                        fi
                    fi
                }
            :: else
            fi;
            if
            :: i < R ->
                atomic {                                               /* the request begins */
                    promise(!flying[1 - w] || SLOW, SENDERS);
                    promise(!(SAMEOBJ && i == 1 && st[0] == PEND && taken[0] == 0 && again[0] == 0) || SLOW, ORDER);
                    flying[w] = 1; worked = 1; barren = 0; sends[i]++;
#ifdef MUT_NOT_ASKING
                    begun = token;
#endif
                    if :: slice == (slice >> i) << i -> acts_at = acts :: else fi;     /* the first of the slice */
                    if :: i == 0 && generation[0] == its_generation -> retried0 = 0 :: else fi;
                    printf("worker %d sends %d\n", w, i);
                    if
                    :: i == POISON -> die = w + 1; i = R               /* the row ends the process */
                    :: else
                    fi
                }
                atomic {                                               /* the answer */
                    flying[w] = 0;
                    if
                    :: ok = ok | (1 << i); taken[i]++; its_fails = 0;
                        promise(taken[i] <= 1 + again[i] + (STALL -> 0 : takeovers), COPY); i++;
#ifdef FAIL
                    :: bad = bad | (1 << i); its_fails++;
                        if
                        :: its_fails >= 2 -> pausing = 1; i = R
#ifndef MUT_NO_CHAIN
                        :: its_fails < 2 && SAMEOBJ && i == 0 -> i = 2
                        :: its_fails < 2 && !(SAMEOBJ && i == 0) -> i++
#else
                        :: else -> i++
#endif
                        fi
#endif
#ifdef REFUSE
                    :: bad = bad | (1 << i); refused = 1; i = R
#endif
                    fi
                }
            :: else
            fi
        :: i < R && !IN(slice, i) -> i++
        :: i >= R -> break
        od;
        atomic {                                                       /* settle: one transaction, fenced */
            if :: begun == token -> begun = 0 :: else fi;
#ifndef MUT_NO_FENCE
            if :: gone || holder != token -> forget(); goto start :: else fi;
#endif
            promise(!gone && holder == token, SENDERS);
            expired = 0; i = 0;
            do
            :: i < R ->
                if
                :: IN(ok, i) && st[i] == PEND -> st[i] = SYNCED; deaths[i] = 0
#ifdef MUT_ANY_GENERATION
                :: IN(bad, i) && st[i] == PEND ->
#else
                :: IN(bad, i) && st[i] == PEND && (i > 0 || generation[0] == its_generation) ->
#endif
                    promise(!(i == 0 && retried0), PERSONS);           /* a retry is put off by an older attempt */
                    attempts[i]++; due[i] = 0; deaths[i] = 0;
                    if :: attempts[i] >= 2 -> st[i] = FAILED :: else fi
#ifdef MUT_OVER_CANCELLED
                :: IN(ok, i) && st[i] == CANCELLED -> st[i] = SYNCED
#endif
                :: else
                fi;
                i++
            :: else -> break
            od;
            promise(!cancelled0 || st[0] == CANCELLED, PERSONS);
            if :: careful > 0 && ok + bad > 0 -> careful-- :: else fi;
#ifdef MUT_NO_EPOCH
            if :: (its_settings == settings) ->
#else
#ifdef MUT_NO_SETTINGS
            if :: (its_epoch == epoch) ->
#else
            if :: (its_epoch == epoch && its_settings == settings) ->
#endif
#endif
                promise(!(pausing || refused) || acts_at == acts, PERSONS);    /* a verdict over what a person did since */
                fails = its_fails; paused = pausing;
                if :: refused -> is_enabled = 0; printf("disabled\n") :: else fi
            :: else
            fi;
            ok = 0; bad = 0; slice = 0; i = 0; its_generation = 0; acts_at = 0; its_fails = 0; one = 0;
            if :: pausing || refused -> goto back :: else goto again_slice fi
        }
cancel:
        do
        :: atomic {                                    /* one batch of cancelling (of one row), the switch read under lock */
            if :: gone || holder != token -> forget(); goto start :: else fi;
#ifndef MUT_CANCEL_UNREAD
            if :: is_active -> goto again_slice :: else fi;
#endif
            i = 0;
            do :: i < R && st[i] != PEND -> i++ :: else -> break od;
            if
            :: i < R ->
                promise(era[i] < eras || eras == 0 || !is_active, PERSONS);       /* recorded after switching on again */
                st[i] = CANCELLED; worked = 1; barren = 0; i = 0
            :: else -> i = 0; break
            fi
           }
        od;
back:
#ifdef MUT_LOOK_FIRST
        atomic { on = (!gone && !paused && WORK && !ASKED) }
#endif
        atomic {                                                       /* give back */
            slice = 0; i = 0; pausing = 0; refused = 0; its_epoch = 0; its_settings = 0; its_fails = 0;
            its_generation = 0; one = 0;
            if
            :: !gone && holder == token ->
                holder = NONE; expired = 0;
#ifndef MUT_RELEASE_KEEPS_TURN
                turn++;
#endif
#if !defined(MUT_RELEASE_KEEPS_MARK) && !defined(MUT_CLEAR_AFTER_LOOK)
                mark = NONE;
#endif
                printf("worker %d gives back\n", w)
            :: else -> forget(); goto start
            fi
        }
#ifdef MUT_LOOK_FIRST
        atomic { if :: on -> mark = FRESH; send(turn) :: else fi };
#else
        atomic {                                                       /* then look, with the same predicate */
            asks = 0;
            if
#ifdef MUT_OTHER_PREDICATE
            :: OPEN && is_enabled && ANYDUE && !ASKED ->
#else
            :: OPEN && WORK && !ASKED ->
#endif
                asks = 1; seen = turn;
#ifndef MUT_MARK_AFTER
                mark = FRESH;
#endif
                if :: !worked -> barren++; promise(barren <= 1, BUSY) :: else fi
            :: else
            fi
        }
        if :: asks -> send(seen) :: else fi;
#ifdef MUT_MARK_AFTER
        atomic { if :: asks && !gone -> mark = FRESH :: else fi };
#endif
#ifdef MUT_CLEAR_AFTER_LOOK
        atomic { if :: !asks && !gone -> mark = NONE :: else fi };
#endif
#endif
        atomic { forget(); goto start }
    } unless {
        atomic { die == w + 1 -> die = 0; printf("worker %d dies\n", w);
            if :: begun == token -> begun = 0 :: else fi;
            flying[w] = 0; forget(); goto start }
    }
}

/* kill -9 at any statement of a worker; another process starts in its place */
proctype killer() {
end_killer:
    do
#ifdef WHILE_SENDING
    :: atomic { crashes < CRASH && die == 0 && begun -> crashes++; die = (flying[1] -> 2 : 1) }
#else
    :: atomic { crashes < CRASH && die == 0 && up[0] -> crashes++; die = 1 }
    :: atomic { crashes < CRASH && die == 0 && up[1] -> crashes++; die = 2 }
#endif
    od
}

/* a lease that runs out while its holder stands still */
proctype clock() {
end_clock:
    do
    :: atomic { holder != NONE && !expired && slows < SLOW -> slows++; expired = 1; printf("lease runs out\n") }
    :: atomic { holder != NONE && !expired && slows < STALL && begun != holder -> slows++; expired = 1; printf("lease runs out\n") }
    od
}

inline sweep() { look(WORK) }

proctype beat() { bit asks; byte seen; sweep() }

inline act() { barren = 0 }

inline retry() {
    atomic {
        if
        :: st[0] != ABSENT && !gone ->
            if :: st[0] == SYNCED || taken[0] -> again[0]++ :: else fi;
            st[0] = PEND; due[0] = 1; attempts[0] = 0; deaths[0] = 0; generation[0]++; cancelled0 = 0; retried0 = 1; act();
            printf("retry\n")
        :: else
        fi
    }
    hint_after_commit(0)
}

inline resume() { paused = 0; fails = 0; epoch++; acts++; act();
#ifdef MUT_ACTION_COUNTS_TURN
    turn++;
#endif
    printf("resume\n")
}

/* One person, in the process of saver 0. Each line is a transaction; then its hint. */
proctype person() { bit asks; byte seen;
#if PERSON
    if
    :: PERSON & 1 ->
        atomic { if :: st[0] == PEND -> st[0] = CANCELLED; cancelled0 = 1; printf("cancel\n") :: else fi }
        if :: retry() :: true fi
    :: PERSON & 1 -> retry()
    :: PERSON & 2 -> atomic { resume() }; hint_after_commit(0)
    :: PERSON & 4 -> atomic { settings++; acts++; act(); printf("mend\n") }
    :: PERSON & 4 -> atomic { settings++; is_enabled = 1; resume(); printf("mend, re-enable\n") }; hint_after_commit(0)
    :: PERSON & 8 ->
        atomic { is_active = 0; act(); printf("off\n") }; hint_after_commit(0);
        atomic { is_active = 1; eras++; act(); printf("on\n") }; hint_after_commit(0)
    :: PERSON & 16 ->
        atomic { is_enabled = 0; act(); printf("disable\n") };
        atomic { is_enabled = 1; resume(); printf("re-enable\n") }; hint_after_commit(0)
    :: PERSON & 32 ->
        atomic { gone = 1; holder = NONE; expired = 0; mark = NONE; printf("delete\n");
            st[0] = ABSENT; st[1] = ABSENT;
#if R > 2
            st[2] = ABSENT
#endif
        }
    fi
#else
    skip
#endif
}

proctype monitor() { byte n; bit asks; byte seen;
#if W > 0
    timeout;
#if CRASH == 0 && LOSS == 0 && POISON >= R
    promise(gone || paused || !WORK, FORGOTTEN);
#endif
    do
    :: n < ROUNDS ->
        atomic {                                /* lease, mark, pause and backoff have run out; the last sweep is not disturbed */
            if :: holder != NONE -> expired = 1 :: else fi;
            
#ifndef LONG_MARK
            if :: mark == FRESH -> mark = OLD :: else fi;
#endif
            paused = 0; barren = 0;
            due[0] = 1; due[1] = 1;
#if R > 2
            due[2] = 1;
#endif
            crashes = CRASH; losses = LOSS; slows = SLOW + STALL
        }
        sweep();
        timeout -> n++
    :: else -> break
    od;
    promise(gone || paused || (is_active && !is_enabled) || !WORK, LATE);
#if POISON < R
    promise(st[POISON] == FAILED, POISONED);
    n = 0;
    do
    :: n < R -> promise(n == POISON || sends[n] <= 2, POISONED); n++
    :: else -> break
    od
#endif
#else
    skip                                        /* no worker answers: all that counts is how many hints wait */
#endif
}

init {
    atomic {
        memory[0] = NOTURN; memory[1] = NOTURN;
        run monitor();
#if CRASH || POISON < R
        run killer();
#endif
#if SLOW || STALL
        run clock();
#endif
#if PERSON
        run person();
#endif
#if W > 0
        run worker(0);
#endif
        run save(0);
#if W > 1
        run worker(1);
#endif
#if SAVERS > 1
        run save(1);
#endif
#if BEATS > 0
        run beat();
#endif
#if BEATS > 1
        run beat();
#endif
    }
}
