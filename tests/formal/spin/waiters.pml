/* The waiters of a session: nobody who is polled when woken waits for ever (rules C3, C4).
 *
 * Written by hand after src/session, and kept next to it by naming, at each step, the function that it
 * stands for. What happens under the session's lock is one `atomic` step; polls of the refresher and
 * wake-ups are made outside it, and anything may come in between. Executors are weakly fair: who is
 * woken is polled at some time, and who has begun to poll goes on.
 *
 * The callers come at any time. The first is polled whenever it is woken. Each other one may be dropped
 * between any two polls, and the last one may instead be alive and never be polled again. There is one
 * flight; that another one starts after it is not modelled, and neither is a poll within a poll.
 *
 *   CALLERS   two or three
 *   ANSWER    how many wake-ups, and polls after the first, the answer takes
 *   UNASKED   a caller that is also polled once without having been woken
 *   TIMER     there is a timer: the refresh has a deadline, which rings
 *   SILENT    the server never answers
 *   others    the protocol with one thing broken, which must be noticed, or with one thing
 *             changed that makes no difference (DEPUTY_FIRST): see .ci/spin
 */

#ifndef UNASKED
#define UNASKED NOBODY
#endif
#ifndef CALLERS
#define CALLERS 3
#endif
#define NOBODY  3
#define me      _pid /* the callers are the first processes */

/* The deck (src/session/flight.rs): `Deck` and its one craft. */
bit launched;          /* the craft exists: `Inner::launch` */
bit in_air;            /* it is in `Deck::air`, and nobody polls it */
bit lit;               /* its beacon is lit: it wants to be polled */
byte driver = NOBODY;  /* `Deck::driver`: who polled last */

/* The waiters (src/session/waiters.rs). A ticket of an earlier round holds no place. */
bit place[3];    /* has a place in this round */
bit callable[3]; /* with a waker in it */

/* What the lifecycle and the snapshot show: published. */
bit settled;           /* the refresh has landed, or was judged: nobody has to wait any more */

/* The refresher's future, and the timer's. */
byte arrived;          /* how many of its events have come */
bit listens;           /* it has the beacon as its waker */
bit rings;             /* the alarm has the bell as its waker */
bit late;              /* the deadline has come */
#ifndef ANSWER
#define ANSWER 1
#endif

/* The executor, and what became of the callers. */
bit woken[3];
bit told[3];
bit gone[3];
bit frozen[3];

#define IS_CALLED (launched && in_air && lit)
#define OVER(i)   (i >= CALLERS || told[i] || gone[i] || frozen[i])

/* Waiters::call */
inline call(who, found) {
    found = NOBODY;
    if
    :: who != NOBODY && place[who] && callable[who] -> callable[who] = 0; found = who
    :: else
    fi
}

/* Waiters::call_another: the first that is callable, but for one. */
inline call_another(except, found) {
    if
    :: callable[0] && except != 0 -> callable[0] = 0; found = 0
    :: else ->
        if
        :: callable[1] && except != 1 -> callable[1] = 0; found = 1
        :: else ->
            if
            :: callable[2] && except != 2 -> callable[2] = 0; found = 2
            :: else -> found = NOBODY
            fi
        fi
    fi
}

/* Waiters::call_all: a new round, in which nobody has a place yet, nor is a driver. */
inline call_all(all) {
    all = callable[0] + 2 * callable[1] + 4 * callable[2];
#ifdef LANDING_WAKES_ONE
    if
    :: all & 1 -> all = 1
    :: else -> if :: all & 2 -> all = 2 :: else fi
    fi;
#endif
    callable[0] = 0; callable[1] = 0; callable[2] = 0;
    place[0] = 0; place[1] = 0; place[2] = 0;
    driver = NOBODY
}

/* flight::wake_all, for two at most, and for all. */
inline wake(who) {
    atomic { if :: who != NOBODY -> woken[who] = 1 :: else fi; who = NOBODY }
}

inline wake_each(all) {
    do
    :: atomic { all & 1 -> woken[0] = 1; all = all - 1 }
    :: atomic { !(all & 1) && all & 2 -> woken[1] = 1; all = all - 2 }
    :: atomic { all == 4 -> woken[2] = 1; all = 0 }
    :: atomic { all == 0 -> break }
    od
}

/* Deck::hand_over */
inline hand_over(found) {
    found = NOBODY;
#ifndef NO_HAND_OVER
    if
    :: IS_CALLED -> call_another(driver, found)
    :: else
    fi
#endif
}

/* Shared::drive. `landed` says whether something has. */
inline drive(landed) {
    atomic { /* Deck::take_off */
        landed = 0;
        if
#ifdef NO_TAKE_OVER
        :: IS_CALLED && (driver == NOBODY || driver == me) ->
#else
        :: IS_CALLED ->
#endif
            in_air = 0; lit = 0; driver = me; taken = 1
        :: else
        fi
    }
    if
    :: taken ->
        atomic { /* Craft::poll; while it is pending, Flight::set_alarm */
            taken = 0;
            if
            :: arrived == ANSWER -> landed = 1
            :: else ->
                listens = 1
#ifdef TIMER
                ; if :: !late -> rings = 1 :: else fi
#endif
            fi
        }
        if
        :: landed ->
#ifdef WAKE_BEFORE_PUBLISH
            atomic { call_all(all) }
            wake_each(all);
            atomic { launched = 0; settled = 1 }
#else
            /* Shared::change: settled and published under the lock, and only then all are woken. */
            atomic { launched = 0; settled = 1; call_all(all) }
            wake_each(all)
#endif
        :: else ->
            atomic { in_air = 1; hand_over(successor) } /* Deck::put_back */
            wake(successor)
        fi
    :: else
    fi
}

/* Shared::judge: polled once more, and given up where the deadline has come (rule B13). */
inline judge(landed) {
    atomic { if :: in_air -> lit = 1 :: else fi } /* Deck::arouse */
    drive(landed);
    atomic {
        all = 0;
        if
        :: !settled && late -> settled = 1; call_all(all)
        :: else
        fi
    }
    wake_each(all)
}

/* Acquire::drop, Shared::leave, Deck::leave */
inline leave() {
    atomic {
        if :: driver == me && place[me] -> driver = NOBODY :: else fi;
        callable[me] = 0;
        place[me] = 0;
        hand_over(successor)
    }
    wake(successor)
}

/* turn::poll, over Acquire::turn, until it is told or pending. */
inline poll() {
    again = 1;
    do
    :: again ->
        atomic { /* The clock is read, then the lock taken. */
            again = 0
#ifdef TIMER
            ; overdue = late
#endif
#ifdef NOT_RECHECKED
            ; called = IS_CALLED || !launched
#endif
        }
        atomic { /* Acquire::look: start or join, and Waiters::register */
            if
            :: settled -> told[me] = 1
            :: else ->
                if
                :: !launched -> launched = 1; in_air = 1; lit = 1
                :: else
                fi;
                place[me] = 1;
                callable[me] = 1;
#ifndef NOT_RECHECKED
                called = IS_CALLED
#endif
            fi
        }
        if
        :: told[me]
        :: !told[me] -> /* Acquire::join */
            if
            :: called ->
                called = 0;
                drive(landed);
                overdue = late
            :: else
            fi;
            if
            :: landed -> again = 1
            :: !landed && overdue -> judge(landed); again = 1
            :: else
            fi
        fi;
        atomic { landed = 0; overdue = 0; called = 0 }
    :: else -> break
    od
}

active [CALLERS] proctype Caller() {
    bit again, called, landed, overdue, taken, unasked, goes, freezes, polled;
    byte successor = NOBODY, all;
    atomic { /* It is settled here, so that fairness drives nobody away who stays. */
        woken[me] = 1;
        if
        :: true
        :: me > 0 -> goes = 1
        :: me == CALLERS - 1 -> freezes = 1
        fi
    }
    do
    :: told[me] -> break
    :: atomic { !told[me] && woken[me] -> woken[me] = 0; polled = 1 } poll()
    :: atomic { !told[me] && me == UNASKED && !unasked -> unasked = 1 } poll()
    :: !told[me] && goes -> leave(); gone[me] = 1; break
    :: !told[me] && freezes && polled -> frozen[me] = 1; break
    od
}

/* The authorization server, as the refresher's own runtime tells of it: Beacon::wake. */
#ifndef SILENT
active proctype Server() {
    bit tell;
    byte first = NOBODY, second = NOBODY;
    do
    :: atomic { launched && arrived < ANSWER -> arrived++; tell = listens; listens = 0 }
        if
        :: tell ->
            atomic { /* Deck::call: the driver and one deputy */
                tell = 0;
                lit = 1;
                call(driver, first);
                second = NOBODY;
#ifndef NO_DEPUTY
                call_another(driver, second)
#endif
            }
#ifdef DEPUTY_FIRST
            wake(second); wake(first)
#else
            wake(first); wake(second)
#endif
        :: else
        fi
    :: arrived == ANSWER -> break
    od
}
#endif

/* The timer: Bell::wake. */
#ifdef TIMER
active proctype Clock() {
    bit tell;
    byte all, first = NOBODY;
    atomic { launched -> late = 1; tell = rings; rings = 0 }
    if
    :: tell ->
#ifdef BELL_FOR_THE_DRIVER
        atomic { lit = 1; call(driver, first) }
        wake(first)
#else
        atomic { lit = 1; call_all(all) }
        wake_each(all)
#endif
    :: else
    fi
}
#endif

/* Rules C3, C4: whoever is polled when woken is told. It needs an answer, or a timer. */
ltl everybody_is_told { <> (OVER(0) && OVER(1) && OVER(2)) }

/* Rules C3, C4: a craft that wants to be polled is, if anybody is left who can. */
ltl no_wake_up_is_lost { [] (IS_CALLED -> <> (!IS_CALLED || (OVER(0) && OVER(1) && OVER(2)))) }
