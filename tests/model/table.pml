/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot protocol of dataplane/core/layout.h, for every interleaving.
 *
 * One writer, one reader (readers do not know of each other; -DREADERS=2 for more), names 1 and 2, one slot in each of two replicas, two arena
 * records, two index generations. A reader's loads of which neither gives the
 * address of the other may come in either order (as on arm64): it takes tag and value in
 * any order, but the record after the value that names it, and the slot after the state
 * word that names the generation. Stores become visible in program order (they are
 * releases). A record is two words, so that a half-built one can be met.
 *
 * A word of content is NAME * 16 + VERSION, 0 is a free record being overwritten. A
 * reader that asks for name n must get: nothing, or a record whose two words are alike
 * and belong to n. A name that was there all the time must be found (checked for growth).
 *
 * With -DSTALLS a grace period may also end without a reader that runs: then it has been declared
 * gone before anything is used again (worker.h). After its last load of the table it looks
 * whether it is; if so, it discards what it has and registers again.
 *
 *   run_spin runs it as it stands, and with these, which must be refuted:
 *     -DNO_GRACE		what was removed is used again at once
 *     -DVALUE_ONLY_REMOVE	the tag of a removed slot stays (rule 4)
 *     -DVALUE_ONLY_REMOVE -DSWAP_STORES	 and the value is stored before the tag, with
 *				readers that load in program order (-DIN_ORDER)
 *     -DEARLY_PUBLISH		the value is stored before the record's bytes
 *     -DFREE_BEFORE_ALL	the old record is freed when the first replica has changed
 *     -DSTATE_FIRST		growth switches before the new index is filled
 *     -DSTALLS -DNO_LOOK	a reader does not look whether it is gone
 *     -DSTALLS -DLOOK_FIRST	it looks before its loads, not after
 *     -DSTALLS -DGONE_LATE	the writer says it only after it has used memory again
 *   -DSWAP_STORES alone is verified, not refuted: with tag and value both cleared, and
 *   a grace period before reuse, the order in which a new entry's words are stored
 *   cannot be seen. layout.h keeps one order all the same.
 */
#ifndef READERS
#define READERS 1
#endif
#define REPLICAS 2
#ifndef STEPS
#define STEPS	 5	/* operations of the writer */
#endif

/* slot of generation g in replica r: g * 2 + r */
byte tag[4];
byte val[4];		/* 0 or 1 + record */
byte word0[2], word1[2]; /* records */
byte gen;		/* the state word */
byte stable;		/* name that has been there since all readers began, 0: none */

/* Grace periods: a reader that runs holds the epoch in which it began. */
byte in_run[READERS];	/* 0: quiescent, 1: began before the last grace_begin, 2: after */
bit gone[READERS];	/* of the present registration */

inline let_grace_pass()
{
#ifndef NO_GRACE
	/* Wait for everybody who runs now. */
	byte w;
	w = 0;
	do
	:: w < READERS && in_run[w] != 0 -> in_run[w] = 1; w++
	:: w < READERS && in_run[w] == 0 -> w++
	:: w == READERS -> break
	od;
	w = 0;
	do
	:: w < READERS ->
		if
		:: in_run[w] != 1 || gone[w] -> skip
#ifdef STALLS
		:: in_run[w] == 1 && !gone[w] ->
			/* it has had its time */
#ifdef GONE_LATE
			late = w + 1
#else
			gone[w] = 1
#endif
#endif
		fi;
		w++
	:: w == READERS -> break
	od;
	w = 0
#endif
	skip
}

inline say_late()
{
#ifdef GONE_LATE
	if
	:: late -> gone[late - 1] = 1; late = 0
	:: else -> skip
	fi
#endif
	skip
}

inline fill(f_rec, f_name, f_version)
{
	word0[f_rec] = f_name * 16 + f_version;
	word1[f_rec] = f_name * 16 + f_version
}

inline insert(i_name, i_rec)
{
	byte r;
	r = 0;
#ifdef SWAP_STORES
	do
	:: r < REPLICAS -> val[gen * 2 + r] = 1 + i_rec; r++
	:: r == REPLICAS -> break
	od;
	r = 0;
	do
	:: r < REPLICAS -> tag[gen * 2 + r] = i_name; r++
	:: r == REPLICAS -> break
	od;
#else
	do
	:: r < REPLICAS -> tag[gen * 2 + r] = i_name; r++
	:: r == REPLICAS -> break
	od;
	r = 0;
	do
	:: r < REPLICAS -> val[gen * 2 + r] = 1 + i_rec; r++
	:: r == REPLICAS -> break
	od;
#endif
	r = 0
}

inline remove()
{
	byte q;
	q = 0;
	do
	:: q < REPLICAS -> val[gen * 2 + q] = 0; q++
	:: q == REPLICAS -> break
	od;
	q = 0;
#ifndef VALUE_ONLY_REMOVE
	do
	:: q < REPLICAS -> tag[gen * 2 + q] = 0; q++
	:: q == REPLICAS -> break
	od;
	q = 0
#endif
	skip
}

active proctype writer()
{
	byte step, name, rec, version, g;
#ifdef GONE_LATE
	byte late;
#endif

	/* rec: the record in use; the other one is free. name 0: the slot is empty. */
	do
	:: step == STEPS -> break
	:: step < STEPS && name == 0 ->
		/* insert either name */
		if
		:: name = 1
		:: name = 2
		fi;
		version = (version + 1) % 4;
#ifdef EARLY_PUBLISH
		insert(name, rec);
		fill(rec, name, version);
#else
		fill(rec, name, version);
		insert(name, rec);
#endif
		step++
	:: step < STEPS && name != 0 ->
		/* change */
		version = (version + 1) % 4;
		fill(1 - rec, name, version);
		val[gen * 2] = 2 - rec;
#ifdef FREE_BEFORE_ALL
		let_grace_pass();
		word0[rec] = 0;
		word1[rec] = 0;
#endif
		val[gen * 2 + 1] = 2 - rec;
		let_grace_pass();
		/* the old record may be overwritten now */
		word0[rec] = 0;
		word1[rec] = 0;
		say_late();
		rec = 1 - rec;
		step++
	:: step < STEPS && name != 0 ->
		/* remove, then slot and record may be used again */
		stable = 0;
		remove();
		let_grace_pass();
		word0[rec] = 0;
		word1[rec] = 0;
		say_late();
		name = 0;
		step++
	:: step < STEPS && name != 0 ->
		/* growth: the other generation is free, or a grace period made it so */
		g = 1 - gen;
		tag[g * 2] = 0; val[g * 2] = 0;
		tag[g * 2 + 1] = 0; val[g * 2 + 1] = 0;
		stable = name;
#ifdef STATE_FIRST
		gen = g;
#endif
		tag[g * 2] = name; val[g * 2] = 1 + rec;
		tag[g * 2 + 1] = name; val[g * 2 + 1] = 1 + rec;
		gen = g;
		let_grace_pass();
		say_late();
		g = 0;
		step++
	od
}

proctype reader(byte me)
{
	byte want, replica, at, t, v, a, b, must;
	bit have_t, have_v, have_a, have_b, lost;

	do
	:: true ->
		d_step {
			in_run[me] = 2;
			t = 0; v = 0; a = 0; b = 0;
			have_t = 0; have_v = 0; have_a = 0; have_b = 0;
			must = 0;
			lost = 0
		}
		if
		:: want = 1
		:: want = 2
		fi;
		if
		:: replica = 0
		:: replica = 1
		fi;
		/* There before this run began, and until it ends unless stable is cleared. */
		must = stable;
		at = gen * 2 + replica;
#ifdef LOOK_FIRST
		lost = gone[me];
#endif
		do
#ifdef IN_ORDER
		:: !have_v -> v = val[at]; have_v = 1
		:: have_v && !have_t -> t = tag[at]; have_t = 1
#else
		:: !have_v -> v = val[at]; have_v = 1
		:: !have_t -> t = tag[at]; have_t = 1
#endif
		:: have_v && v != 0 && !have_a -> a = word0[v - 1]; have_a = 1
		:: have_v && v != 0 && !have_b -> b = word1[v - 1]; have_b = 1
		:: have_v && have_t && (v == 0 || (have_a && have_b)) -> break
		od;
		/* What was promised is looked at in the same moment: once the reader is gone,
		 * the name may be removed, and come back. */
		skip;
		d_step {
#ifndef NO_LOOK
#ifndef LOOK_FIRST
			lost = gone[me];
#endif
#endif
			if
			:: must != stable -> must = 0
			:: else -> skip
			fi
		}
		if
		:: lost -> skip		/* discarded */
		:: !lost && t == want && v != 0 ->
			assert(a == b);		/* not torn, not half-built */
			assert(a / 16 == want)	/* not foreign */
		:: else ->
			/* nothing: right unless the name was there all the time */
			assert(must != want)
		fi;
		/* The next registration, if this one is gone. */
		d_step { in_run[me] = 0; gone[me] = 0; at = 0; want = 0; t = 0; v = 0; a = 0; b = 0; must = 0 }
	od
}

init {
	byte i;
	i = 0;
	do
	:: i < READERS -> run reader(i); i++
	:: i == READERS -> break
	od
}
