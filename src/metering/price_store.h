#ifndef METERING_PRICE_STORE_H
#define METERING_PRICE_STORE_H

#include "base/auto.h"
#include "pricing/book.h"
#include "store/snapshot.h"

/* The price book as it is in force, shared by the worker loops and the threads of the admin
 * listener. A change of prices is stored by the writer; whoever asked for it then publishes the new
 * book from a connection of its own, before it is answered: building one takes longer than the
 * writer may be kept from its batches. */

struct price_store;

/* Read the book.
 *
 * domain  borrowed for the life of the store
 * Errors  as book_load */
TG_MUST_CHECK enum tg_status price_store_open(struct db *db, struct snapshot_domain *domain,
                                              struct price_store **ret_store, struct err *err);
/* After the worker loops and the admin listener have ended. Accepts NULL. */
void price_store_close(struct price_store *store);

/* Read the book again and publish it. Those that ask at one time do so one after the other.
 *
 * db      a connection whose snapshot has the change
 * Errors  as book_load; then the book before is still in force
 * Thread  any that may block */
TG_MUST_CHECK enum tg_status price_store_refresh(struct price_store *store, struct db *db,
                                                 struct err *err);

/* For the worker loops: of struct book. */
const struct snapshot *price_store_snapshot(const struct price_store *store);

/* For all other threads: the book, until price_store_leave; no waiting in between. */
const struct book *price_store_enter(struct price_store *store);
void price_store_leave(struct price_store *store);

/* A stay: AUTO(price_stay) stay = price_stay_begin(store); use stay.book. */
struct price_stay {
    struct price_store *store;
    const struct book *book;
};
static inline struct price_stay price_stay_begin(struct price_store *store)
{
    return (struct price_stay){ store, price_store_enter(store) };
}
static inline void price_stay_end(struct price_stay *stay)
{
    price_store_leave(stay->store);
}
AUTO_DEFINE(price_stay, price_stay_end)

#endif
