#ifndef SUPPORT_BOOK_H
#define SUPPORT_BOOK_H

#include "ledger/ledger.h"
#include "ledger/verify.h"
#include "quota/admit.h"
#include "store/db.h"
#include "store/writer.h"

#include <semaphore.h>

/* A ledger in a folder of its own below build/, and jobs that a test can wait for. */

#define BOOK_PATH_MAX 256

struct support_book {
    char folder[BOOK_PATH_MAX];
    char path[BOOK_PATH_MAX + 16];
    struct db *db; /* the writer's once it runs */
    struct ledger *ledger;
    struct admit *admit;
    struct writer *writer;
    int64_t recovered;
    int64_t last_id;
    struct err err;
};

/* Make the folder, empty. */
void support_book_place(struct support_book *book);
/* Remove the folder and what is in it. */
void support_book_remove(struct support_book *book);

/* Open or make the file, migrate and open the ledger; with a writer, start it. */
enum tg_status support_book_try_open(struct support_book *book, bool with_writer);
void support_book_open(struct support_book *book);
/* Stop the writer and close; all settlements are given `patience_ms`. */
void support_book_close_in(struct support_book *book, int64_t patience_ms);
void support_book_close(struct support_book *book);

/* Place and open; close and remove. */
void support_book_setup(struct support_book *book);
void support_book_teardown(struct support_book *book);

/* Read a number by SQL on a connection of its own. NULL reads as 0. */
int64_t support_book_number(struct support_book *book, const char *sql);
struct ledger_verdict support_book_verify(struct support_book *book);
/* Verify, and fail the test unless all is right and no hold is open. */
void support_book_is_sound(struct support_book *book);

/* What a job has reported. */
struct support_outcome {
    sem_t answered;
    enum tg_status status;
    _Atomic(int) answers;
    _Atomic(int) deferrals;
};

struct support_hold {
    struct ledger_hold_job job; /* first */
    struct support_outcome outcome;
};

struct support_settle {
    struct ledger_settle_job job; /* first */
    struct support_outcome outcome;
};

/* The id of attempt `number` (1 or more): one second after the other, from 2026-11-24T00:00:00Z on.
 */
int64_t support_attempt(int64_t number);

/* A plausible hold and charge of attempt `number`, by team, key, provider and model of small
 * numbers. The amount held is 1,000,000 nusd, the cost 1,000 + number. */
void support_hold_init(struct support_book *book, struct support_hold *hold, int64_t number);
void support_settle_init(struct support_book *book, struct support_settle *settle, int64_t number);

/* Submit. */
enum tg_status support_hold_submit(struct support_book *book, struct support_hold *hold);
enum tg_status support_settle_submit(struct support_book *book, struct support_settle *settle);
enum tg_status support_hold_wait(struct support_hold *hold);
enum tg_status support_settle_wait(struct support_settle *settle);

/* Submit and wait. */
enum tg_status support_hold_now(struct support_book *book, int64_t number);
enum tg_status support_settle_now(struct support_book *book, int64_t number);
/* A hold and its charge. */
void support_attempt_now(struct support_book *book, int64_t number);

/* An administrative job that runs a function inside the batch, waited for. */
enum tg_status support_run(struct support_book *book,
                           enum tg_status (*run)(struct db *db, void *context, struct err *err),
                           void *context);
/* Wait until the writer has seen all that was submitted before. */
void support_barrier(struct support_book *book);

/* The process's clock is the real one, plus what was added. */
void support_clock_use(void);
void support_clock_add_ms(int64_t ms);

#endif
