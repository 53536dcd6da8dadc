// SPDX-License-Identifier: Apache-2.0
// The body of a trigger function in PL/pgSQL, read: does it nothing but compute? Then it assigns to
// columns of NEW and to variables of PostgreSQL's own types, decides, raises, returns; and its
// expressions are made of constants, columns of NEW and OLD, variables, and a list of PostgreSQL's
// functions and operators. Every word must be one that is known here: there is no list of what is
// forbidden, so no query, and no relation, can be named.
// Whether users have functions, operators or types of the names that it uses, and what the columns'
// types are, is for the caller (proxy/control/behind.h). Pure; any thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

// What the body uses, told as it is read, and so also of a body that is refused in the end. False:
// that may not be used. Names live as long as the call.
struct computing_told {
    bool (*function)(struct slice name, void *arg);
    bool (*operator)(struct slice name, void *arg);
    bool (*column)(struct slice name, bool assigned, void *arg); // of NEW or OLD
    bool (*row)(void *arg);                          // NEW or OLD as a whole
};

bool computing_read(struct slice body, const struct computing_told *told, void *arg);

// The functions. f(x) may be a cast, too, where a type has that name.
#define COMPUTING_FUNCTIONS                                                                        \
    "abs,age,array_append,array_length,array_prepend,array_remove,array_to_string,btrim,"          \
    "cardinality,ceil,ceiling,char_length,character_length,clock_timestamp,concat,concat_ws,"      \
    "date_part,date_trunc,decode,encode,floor,format,gen_random_uuid,hashtext,initcap,"            \
    "json_build_object,jsonb_build_object,jsonb_set,jsonb_strip_nulls,left,length,lower,lpad,"     \
    "ltrim,make_date,md5,mod,now,octet_length,pg_trigger_depth,power,quote_literal,random,"        \
    "regexp_replace,repeat,replace,reverse,right,round,rpad,rtrim,setweight,sign,split_part,sqrt," \
    "statement_timestamp,string_to_array,strpos,substr,substring,to_char,to_date,to_json,"         \
    "to_jsonb,to_number,to_timestamp,to_tsvector,transaction_timestamp,translate,trim,trunc,upper"
