#ifndef BASE_AUTO_H
#define BASE_AUTO_H

/* Release at scope end: `AUTO(txn) txn = { 0 };` declares `struct txn txn`, handed to
 * `auto_txn(struct txn *)` when the scope is left. A type opts in with AUTO_DEFINE in its header.
 */
#define AUTO(type) __attribute__((cleanup(auto_##type))) struct type

#define AUTO_DEFINE(type, destructor)                                                              \
    static inline void auto_##type(struct type *object)                                            \
    {                                                                                              \
        destructor(object);                                                                        \
    }

/* The same for a pointer to a heap object: `AUTO_PTR(reader) reader = NULL;`. */
#define AUTO_PTR(type) __attribute__((cleanup(auto_ptr_##type))) struct type *

#define AUTO_PTR_DEFINE(type, destructor)                                                          \
    static inline void auto_ptr_##type(struct type **object)                                       \
    {                                                                                              \
        destructor(*object);                                                                       \
    }

#endif
