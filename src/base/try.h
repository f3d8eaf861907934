#ifndef BASE_TRY_H
#define BASE_TRY_H

#include "tollgate/status.h"

/* Return a failure upwards. The only macro that hides control flow. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const enum tg_status try_status_ = (call);                                                 \
        if (try_status_ != TG_OK)                                                                  \
            return try_status_;                                                                    \
    } while (0)

#endif
