/* Goal: roles have one name each, and rights only shrink. Method: all pairs. */

#include "policy/token.h"
#include "support/suites.h"

START_TEST(a_role_is_read_back_from_its_name)
{
    enum token_role role;

    for (int i = 0; i < TOKEN_ROLE_COUNT; i++) {
        ck_assert(token_role_parse(span_from(token_role_name((enum token_role)i)), &role));
        ck_assert_int_eq((int)role, i);
    }
    ck_assert(!token_role_parse(SPAN("Owner"), &role));
    ck_assert(!token_role_parse(SPAN(""), &role));
}
END_TEST

START_TEST(nobody_grants_more_than_he_has)
{
    for (int maker = 0; maker < TOKEN_ROLE_COUNT; maker++)
        for (int role = 0; role < TOKEN_ROLE_COUNT; role++) {
            const bool expected =
                maker == TOKEN_OWNER || (maker == TOKEN_ADMIN && role != TOKEN_OWNER);

            ck_assert_int_eq(token_may_grant((enum token_role)maker, (enum token_role)role),
                             expected);
        }
}
END_TEST

Suite *suite(void)
{
    Suite *token = suite_create("policy/token");
    TCase *tcase = tcase_create("roles");

    tcase_add_test(tcase, a_role_is_read_back_from_its_name);
    tcase_add_test(tcase, nobody_grants_more_than_he_has);
    suite_add_tcase(token, tcase);
    return token;
}
