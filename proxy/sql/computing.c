// SPDX-License-Identifier: Apache-2.0
// PL/pgSQL hands what stands between two of its own words to SQL as `SELECT ...`; so an expression
// is read as a sequence in which an operand and what joins operands take turns. That keeps out what
// the same words would mean elsewhere: `f 'x'` and `f(1) 'x'` are casts to a type f.
#include "proxy/sql/computing.h"

#include <string.h>

#include "proxy/sql/plpgsql.h"

enum {
    VARIABLES_MAX = 32,
    NESTED_MAX = 64,
};

struct reading {
    struct plpgsql t;
    char variables[VARIABLES_MAX][PLPGSQL_WORD_MAX + 1];
    size_t variable_count;
    char open[NESTED_MAX]; // ( [ or c, a CASE, within the expression at hand
    size_t depth;
    const struct computing_told *told;
    void *arg;
};

static void next(struct reading *r)
{
    plpgsql_next(&r->t);
}

static bool is_word(const struct reading *r, const char *word)
{
    return plpgsql_is_word(&r->t, word);
}

static bool is_sign(const struct reading *r, char sign)
{
    return plpgsql_is_sign(&r->t, sign);
}

static bool is_operator(const struct reading *r, const char *name)
{
    return r->t.token == PLPGSQL_OPERATOR && strcmp(r->t.text, name) == 0;
}

static bool listed(const struct reading *r, const char *list)
{
    return plpgsql_listed(&r->t, list);
}

static bool accept_word(struct reading *r, const char *word)
{
    bool is = is_word(r, word);
    if (is)
        next(r);
    return is;
}

static bool accept_sign(struct reading *r, char sign)
{
    bool is = is_sign(r, sign);
    if (is)
        next(r);
    return is;
}

// ---- Words --------------------------------------------------------------------------------------

static const char values[] = "null,true,false,current_timestamp,current_date,current_time,"
                             "localtimestamp,localtime,current_user,session_user,current_role,"
                             "tg_op,tg_name,tg_when,tg_level,tg_relid,tg_table_name,tg_relname,"
                             "tg_table_schema,tg_nargs,tg_argv";
// Grammar, not names: nobody else's function is meant. What they compare with is (see below).
static const char constructs[] = "coalesce,nullif,greatest,least";
static const char functions[] = COMPUTING_FUNCTIONS;
static const char fields[] = "century,day,decade,dow,doy,epoch,hour,isodow,isoyear,microseconds,"
                             "millennium,milliseconds,minute,month,quarter,second,timezone,week,"
                             "year";
static const char operators[] = ",+,-,*,/,%,^,=,<>,!=,<,>,<=,>=,||,~,~*,!~,!~*,->,->>,#>,#>>,@>,"
                                "<@,?,&&,&,|,#,";
static const char types[] = "bigint,bool,boolean,bpchar,bytea,char,character,date,decimal,double,"
                            "float,float4,float8,int,int2,int4,int8,integer,interval,json,jsonb,"
                            "numeric,real,smallint,text,time,timestamp,timestamptz,uuid,varchar";
// Types of which a constant may be made by writing their name before it.
static const char literals[] = "date,interval,text,time,timestamp,timestamptz,uuid,jsonb";
// None of them is a variable's name: each has a meaning here.
static const char reserved[] =
    "all,and,any,array,as,at,begin,between,by,case,constant,current_catalog,current_schema,declare,"
    "default,distinct,else,elseif,elsif,end,exception,extract,for,foreach,from,if,ilike,in,is,like,"
    "loop,new,not,old,or,pg_catalog,raise,return,row,select,some,table,then,user,using,values,when,"
    "while,with,found,sqlstate,sqlerrm,execute,strict,into,union,except,intersect,where,group,"
    "order,limit,offset,fetch,window,having,only,lateral,to,on,collate,unique,check,do,grant,"
    "create,cast,isnull,notnull,similar,overlaps,ilike,freeze,verbose,analyse,analyze,asc,desc,"
    "both,leading,trailing,primary,references,foreign,constraint,column,deferrable,initially,"
    "localtime,placing,returning,symmetric,asymmetric,variadic,binary,cross,full,inner,join,left,"
    "natural,outer,right,authorization,collation,concurrently,tablesample,unknown,operator";

static bool is_variable(const struct reading *r)
{
    for (size_t i = 0; r->t.token == PLPGSQL_WORD && i < r->variable_count; i++)
        if (strcmp(r->variables[i], r->t.text) == 0)
            return true;
    return false;
}

static bool use_operators(struct reading *r, const char *first, const char *second)
{
    return r->told->operator(slice_str(first), r->arg) &&
           (second == NULL || r->told->operator(slice_str(second), r->arg));
}

// ---- Types --------------------------------------------------------------------------------------

static bool skip_modifier(struct reading *r)
{
    if (!accept_sign(r, '('))
        return true;
    do {
        if (r->t.token != PLPGSQL_NUMBER)
            return false;
        next(r);
    } while (accept_sign(r, ','));
    return accept_sign(r, ')');
}

static bool read_type(struct reading *r)
{
    if (!listed(r, types))
        return false;
    bool time = is_word(r, "time") || is_word(r, "timestamp");
    bool character = is_word(r, "character"), two = is_word(r, "double");
    next(r);
    if (two && !accept_word(r, "precision"))
        return false;
    if (character)
        accept_word(r, "varying");
    if (!skip_modifier(r))
        return false;
    if (time && (is_word(r, "with") || is_word(r, "without"))) {
        next(r);
        if (!accept_word(r, "time") || !accept_word(r, "zone"))
            return false;
    }
    while (accept_sign(r, '['))
        if (!accept_sign(r, ']'))
            return false;
    return true;
}

// ---- Expressions --------------------------------------------------------------------------------

static bool open_nested(struct reading *r, char what)
{
    if (r->depth == NESTED_MAX)
        return false;
    r->open[r->depth++] = what;
    return true;
}

static bool is_nested_in(const struct reading *r, char what)
{
    return r->depth > 0 && r->open[r->depth - 1] == what;
}

static bool open_sign(struct reading *r, char sign)
{
    return accept_sign(r, sign) && open_nested(r, sign);
}

// Behind NEW or OLD.
static bool read_record(struct reading *r)
{
    if (!accept_sign(r, '.'))
        return r->told->row(r->arg);
    if (is_operator(r, "*")) {
        next(r);
        return r->told->row(r->arg);
    }
    if (r->t.token != PLPGSQL_WORD && r->t.token != PLPGSQL_QUOTED)
        return false;
    bool may = r->told->column(slice_of(r->t.text, r->t.len), false, r->arg);
    next(r);
    return may;
}

// A call; `have`: it has no arguments, and is an operand as it is.
static bool read_call(struct reading *r, bool *have)
{
    bool qualified = accept_word(r, "pg_catalog");
    if (qualified && !accept_sign(r, '.'))
        return false;
    bool construct = !qualified && listed(r, constructs);
    // TRIM is grammar, too, but where it is written as a function's name.
    if (!construct && (!listed(r, functions) || (qualified && is_word(r, "trim"))))
        return false;
    bool may = construct ? use_operators(r, "=", NULL)
                         : r->told->function(slice_of(r->t.text, r->t.len), r->arg);
    next(r);
    if (!may || !open_sign(r, '('))
        return false;
    *have = accept_sign(r, ')');
    r->depth -= *have;
    return true;
}

static bool read_extract(struct reading *r)
{
    if (!open_sign(r, '(') || !listed(r, fields))
        return false;
    next(r);
    return accept_word(r, "from");
}

// An operand, or what stands before one.
static bool read_operand(struct reading *r, bool *have)
{
    *have = true;
    if (r->t.token == PLPGSQL_NUMBER || r->t.token == PLPGSQL_STRING) {
        next(r);
        return true;
    }
    if (accept_word(r, "new") || accept_word(r, "old"))
        return read_record(r);
    if (is_variable(r) || listed(r, values)) {
        next(r);
        return true;
    }
    if (is_sign(r, ']') && is_nested_in(r, '[')) { // ARRAY[]
        next(r);
        r->depth--;
        return true;
    }
    *have = false;
    if (is_operator(r, "-") || is_operator(r, "+")) {
        bool may = use_operators(r, r->t.text, NULL);
        next(r);
        return may;
    }
    if (is_sign(r, '('))
        return open_sign(r, '(');
    if (accept_word(r, "not"))
        return true;
    if (accept_word(r, "case")) {
        accept_word(r, "when");
        return open_nested(r, 'c') && use_operators(r, "=", NULL);
    }
    if (accept_word(r, "array"))
        return open_sign(r, '[');
    if (accept_word(r, "row"))
        return open_sign(r, '(');
    if (accept_word(r, "extract"))
        return read_extract(r);
    if (listed(r, literals)) {
        next(r);
        *have = r->t.token == PLPGSQL_STRING;
        next(r);
        return *have;
    }
    return read_call(r, have);
}

static bool read_is(struct reading *r, bool *have)
{
    accept_word(r, "not");
    if (accept_word(r, "null") || accept_word(r, "true") || accept_word(r, "false"))
        return true;
    *have = false;
    return accept_word(r, "distinct") && accept_word(r, "from") && use_operators(r, "=", NULL);
}

// IN, LIKE and BETWEEN, and what NOT makes of them.
static bool read_test(struct reading *r)
{
    accept_word(r, "not");
    if (accept_word(r, "in"))
        return use_operators(r, "=", "<>") && open_sign(r, '(');
    if (accept_word(r, "like"))
        return use_operators(r, "~~", "!~~");
    if (accept_word(r, "ilike"))
        return use_operators(r, "~~*", "!~~*");
    return accept_word(r, "between") && use_operators(r, ">=", "<=") &&
           use_operators(r, "<", ">");
}

static bool read_operator(struct reading *r)
{
    char name[PLPGSQL_WORD_MAX + 3];
    name[0] = ',';
    memcpy(name + 1, r->t.text, r->t.len);
    name[r->t.len + 1] = ',';
    name[r->t.len + 2] = 0;
    if (strstr(operators, name) == NULL ||
        !r->told->operator(slice_of(name + 1, r->t.len), r->arg) ||
        (strcmp(r->t.text, "!=") == 0 && !use_operators(r, "<>", NULL)))
        return false;
    next(r);
    if (is_word(r, "any") || is_word(r, "all")) {
        next(r);
        return open_sign(r, '(');
    }
    return true;
}

// Within a CASE: its own words.
static bool read_case_word(struct reading *r, bool *have)
{
    if (accept_word(r, "end")) {
        r->depth--;
        return true;
    }
    *have = false;
    return accept_word(r, "when") || accept_word(r, "then") || accept_word(r, "else");
}

// What joins an operand to the next, or ends what it stands in.
static bool read_joint(struct reading *r, bool *have)
{
    *have = true;
    if ((is_sign(r, ')') && is_nested_in(r, '(')) || (is_sign(r, ']') && is_nested_in(r, '['))) {
        next(r);
        r->depth--;
        return true;
    }
    if (r->t.token == PLPGSQL_CAST) {
        next(r);
        return read_type(r);
    }
    if (accept_word(r, "is"))
        return read_is(r, have);
    if (is_nested_in(r, 'c') && listed(r, "when,then,else,end"))
        return read_case_word(r, have);
    *have = false;
    if (is_sign(r, '['))
        return open_sign(r, '[');
    if (r->depth > 0 && !is_nested_in(r, 'c') && accept_sign(r, ','))
        return true;
    if (accept_word(r, "and") || accept_word(r, "or"))
        return true;
    if (accept_word(r, "at"))
        return accept_word(r, "time") && accept_word(r, "zone");
    if (r->t.token == PLPGSQL_OPERATOR)
        return read_operator(r);
    return read_test(r);
}

static bool is_end(const struct reading *r, const char *words)
{
    return r->depth == 0 && (is_sign(r, ';') || is_sign(r, ',') || listed(r, words));
}

// Up to a semicolon, a comma, or one of the words, which PL/pgSQL looks for outside of parentheses.
static bool read_expression(struct reading *r, const char *words)
{
    bool have = false;
    r->depth = 0;
    while (!have || !is_end(r, words))
        if (have ? !read_joint(r, &have) : !read_operand(r, &have))
            return false;
    return true;
}

// ---- Statements ---------------------------------------------------------------------------------

static bool read_assignment(struct reading *r)
{
    if (accept_word(r, "new")) {
        if (!accept_sign(r, '.') || (r->t.token != PLPGSQL_WORD && r->t.token != PLPGSQL_QUOTED) ||
            !r->told->column(slice_of(r->t.text, r->t.len), true, r->arg))
            return false;
    } else if (!is_variable(r)) {
        return false;
    }
    next(r);
    if (r->t.token != PLPGSQL_ASSIGN && !is_operator(r, "="))
        return false;
    next(r);
    return read_expression(r, "") && accept_sign(r, ';');
}

// NEW, OLD, NULL, or the one of the two that there is.
static bool read_return(struct reading *r)
{
    if (accept_word(r, "coalesce")) {
        if (!accept_sign(r, '(') || !accept_word(r, "new") || !accept_sign(r, ',') ||
            !accept_word(r, "old") || !accept_sign(r, ')'))
            return false;
    } else if (!accept_word(r, "new") && !accept_word(r, "old") && !accept_word(r, "null")) {
        return false;
    }
    return accept_sign(r, ';');
}

static bool read_raise(struct reading *r)
{
    if (listed(r, "debug,log,info,notice,warning,exception"))
        next(r);
    if (r->t.token == PLPGSQL_STRING) {
        next(r);
        while (accept_sign(r, ','))
            if (!read_expression(r, "using"))
                return false;
    } else if (!is_word(r, "using")) {
        return false;
    }
    if (!accept_word(r, "using"))
        return accept_sign(r, ';');
    do {
        if (!listed(r, "message,detail,hint,errcode,column,constraint,datatype,table,schema"))
            return false;
        next(r);
        bool set = r->t.token == PLPGSQL_ASSIGN || is_operator(r, "=");
        next(r);
        if (!set || !read_expression(r, ""))
            return false;
    } while (accept_sign(r, ','));
    return accept_sign(r, ';');
}

static bool read_statements(struct reading *r, int nested);

static bool read_if(struct reading *r, int nested)
{
    do
        if (!read_expression(r, "then") || !accept_word(r, "then") ||
            !read_statements(r, nested + 1))
            return false;
    while (accept_word(r, "elsif") || accept_word(r, "elseif"));
    if (accept_word(r, "else") && !read_statements(r, nested + 1))
        return false;
    return accept_word(r, "end") && accept_word(r, "if") && accept_sign(r, ';');
}

static bool read_case(struct reading *r, int nested)
{
    if (!is_word(r, "when") && (!use_operators(r, "=", NULL) || !read_expression(r, "when")))
        return false;
    while (accept_word(r, "when")) {
        do
            if (!read_expression(r, "then"))
                return false;
        while (accept_sign(r, ','));
        if (!accept_word(r, "then") || !read_statements(r, nested + 1))
            return false;
    }
    if (accept_word(r, "else") && !read_statements(r, nested + 1))
        return false;
    return accept_word(r, "end") && accept_word(r, "case") && accept_sign(r, ';');
}

static bool read_statement(struct reading *r, int nested)
{
    if (accept_word(r, "if"))
        return read_if(r, nested);
    if (accept_word(r, "case"))
        return read_case(r, nested);
    if (accept_word(r, "return"))
        return read_return(r);
    if (accept_word(r, "raise"))
        return read_raise(r);
    if (accept_word(r, "null"))
        return accept_sign(r, ';');
    if (accept_word(r, "begin"))
        return read_statements(r, nested + 1) && accept_word(r, "end") && accept_sign(r, ';');
    return read_assignment(r);
}

// Up to what ends them: END, ELSE and the like, which the caller looks at.
static bool read_statements(struct reading *r, int nested)
{
    if (nested == NESTED_MAX)
        return false;
    while (!listed(r, "end,else,elsif,elseif,when"))
        if (!read_statement(r, nested))
            return false;
    return true;
}

static bool read_declaration(struct reading *r)
{
    if (r->t.token != PLPGSQL_WORD || r->variable_count == VARIABLES_MAX || is_variable(r) ||
        listed(r, reserved) || listed(r, values) || listed(r, constructs))
        return false;
    char *name = r->variables[r->variable_count];
    memcpy(name, r->t.text, r->t.len + 1);
    next(r);
    accept_word(r, "constant");
    if (!read_type(r) || (accept_word(r, "not") && !accept_word(r, "null")))
        return false;
    bool given = r->t.token == PLPGSQL_ASSIGN || is_word(r, "default") ||
                 is_operator(r, "=");
    if (given) {
        next(r);
        if (!read_expression(r, ""))
            return false;
    }
    r->variable_count++; // not before: its own first value may not ask for it
    return accept_sign(r, ';');
}

bool computing_read(struct slice body, const struct computing_told *told, void *arg)
{
    struct reading r = {.t = {.at = body.at, .end = body.at + body.len}, .told = told, .arg = arg};
    // How a backslash in a string is read, a session's settings say.
    if (body.len == 0 || memchr(body.at, '\\', body.len) != NULL)
        return false;
    next(&r);
    if (accept_word(&r, "declare"))
        while (!is_word(&r, "begin"))
            if (!read_declaration(&r))
                return false;
    if (!accept_word(&r, "begin") || !read_statements(&r, 0) || !accept_word(&r, "end"))
        return false;
    accept_sign(&r, ';');
    return r.t.token == PLPGSQL_END;
}
