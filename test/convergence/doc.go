// Package convergence proves the sync engine by random runs: a real leader and a real
// follower on two folders with their watchers, a user on either side who does
// what users do, a connection that is cut at any frame, and ends that are
// restarted or killed, and whose clocks are wrong and set back and forth. When a
// run is over and the ends have had a connection in peace, three things must
// hold.
//
//   - Both sides have the same tree, and nothing is on its way.
//   - Nothing is lost. A content is owed from the moment that a user finished
//     writing it until a user of the same side removes it: by writing over it,
//     truncating, deleting it, or renaming another file over it. What is owed is
//     in the tree, conflict copies included, or in a trash. What the sync
//     engine, or a user of the other side through it, removes stays owed.
//   - Nothing outside the two roots and the two state folders has changed.
//
// In a run without cuts and kills in which the two users take turns, sync must
// moreover leave alone what the last user made: no conflict, no entry more or
// less.
//
// Every run follows from a number, its seed, as far as the scheduler allows:
//
//	SEED=17 go test -run TestConvergence ./test/convergence
//
// runs one, and RUNS=1000000 that many from SEED on. A run that fails is cut
// down to a short list of steps that still fails, and printed.
package convergence
