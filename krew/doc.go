// Package krew holds what Krew needs to distribute the plugin: okteto.yaml, the
// template of the manifest in the Krew index, in the form that
// krew-release-bot renders at a release. The tests render it for a local
// archive, hold it to the index's rules and install it the way that Krew does.
package krew
