package ignore

import "math/bits"

// A glob is a pattern compiled to a non-deterministic automaton. A run keeps
// the set of all states that are possible at once, so its time is bounded by
// the length of the path times the length of the pattern, whatever the two
// look like.
type glob struct {
	prog    []inst
	classes []class
	bytes   bool // every byte of the path is a character of its own
}

// An inst is one state. The states that consume a character go on to the next
// one in the program; opStar and opDeep may also stay.
type inst struct {
	op  opcode
	arg int32 // opChar: the character; opClass: an index; opFork, opJump: a target
}

type opcode uint8

const (
	opMatch opcode = iota // the pattern is complete
	opChar                // one given character
	opAny                 // ?
	opClass               // [a-z]
	opStar                // *
	opDeep                // **
	opFork                // go on at the next state and at arg
	opJump                // go on at arg
)

// A class is a set of characters, as pairs of first and last.
type class struct {
	negated bool
	ranges  [][2]rune
}

func (c *class) has(r rune) bool {
	for _, x := range c.ranges {
		if x[0] <= r && r <= x[1] {
			return !c.negated
		}
	}
	return c.negated
}

// states is a set of states, a bit for each.
type states []uint64

func (s states) has(pc int) bool { return s[pc/64]&(1<<(pc%64)) != 0 }

func (s states) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// add puts a state and those that follow from it without a character into the
// set.
func (g *glob) add(s states, pc int) {
	for !s.has(pc) {
		s[pc/64] |= 1 << (pc % 64)
		switch in := g.prog[pc]; in.op {
		case opStar, opDeep:
			pc++
		case opJump:
			pc = int(in.arg)
		case opFork:
			g.add(s, pc+1)
			pc = int(in.arg)
		default:
			return
		}
	}
}

// step fills to with the states that follow those in from after the character
// r.
func (g *glob) step(from, to states, r rune) {
	clear(to)
	for w, word := range from {
		for ; word != 0; word &= word - 1 {
			pc := w*64 + bits.TrailingZeros64(word)
			in := g.prog[pc]
			switch {
			case in.op == opDeep, in.op == opStar && r != '/':
				g.add(to, pc)
			case in.op == opChar && r == in.arg,
				in.op == opAny && r != '/',
				in.op == opClass && r != '/' && g.classes[in.arg].has(r):
				g.add(to, pc+1)
			}
		}
	}
}

// room is the stack's share of the states of one run: patterns of up to 128
// states need no memory.
type room [4]uint64

// states returns two empty sets of states, in r if they fit.
func (g *glob) states(r *room) (now, next states) {
	words := (len(g.prog) + 63) / 64
	buf := r[:]
	if 2*words > len(buf) {
		buf = make([]uint64, 2*words)
	}
	return buf[:words], buf[words : 2*words]
}

// decode returns the first character of s and its width.
func (g *glob) decode(s string) (rune, int) {
	if g.bytes {
		return byteChar(s[0]), 1
	}
	return decode(s)
}

// matches reports whether the pattern matches the path or a folder above it. It
// starts at the root and, unless anchored, again after every slash.
func (g *glob) matches(path string, anchored bool) bool {
	var r room
	now, next := g.states(&r)
	matched, _ := g.run(now, next, path, anchored)
	return matched
}

// after returns the states after the last character of the path, or true if
// the pattern matches the path or a folder above it.
func (g *glob) after(path string, anchored bool) (bool, states) {
	now, next := g.states(new(room))
	return g.run(now, next, path, anchored)
}

// run feeds the path to the automaton. It reports whether the pattern is
// complete at the end of an element; else it returns the states after the last
// character.
func (g *glob) run(now, next states, path string, anchored bool) (bool, states) {
	accept := len(g.prog) - 1
	start := true
	for i := 0; i < len(path); {
		if start && (i == 0 || !anchored) {
			g.add(now, 0)
		}
		r, size := g.decode(path[i:])
		if r == '/' && i > 0 && !start && now.has(accept) {
			return true, nil
		}
		g.step(now, next, r)
		now, next = next, now
		start = r == '/'
		i += size
		if anchored && now.empty() {
			return false, now
		}
	}
	return !start && now.has(accept), now
}

// matchesAll reports whether the pattern matches all of the text.
func (g *glob) matchesAll(text string) bool {
	var r room
	now, next := g.states(&r)
	g.add(now, 0)
	for text != "" && !now.empty() {
		r, size := g.decode(text)
		g.step(now, next, r)
		now, next = next, now
		text = text[size:]
	}
	return now.has(len(g.prog) - 1)
}

// acceptsAll reports whether every text that follows completes the pattern:
// some ** is active behind which nothing is left to match.
func (g *glob) acceptsAll(s states) bool {
	for pc, in := range g.prog {
		if in.op != opDeep || !s.has(pc) {
			continue
		}
		rest := make(states, len(s))
		g.add(rest, pc+1)
		if rest.has(len(g.prog) - 1) {
			return true
		}
	}
	return false
}
