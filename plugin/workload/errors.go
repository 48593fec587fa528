package workload

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// NotFoundError means that no workload answers to a name or a selector.
type NotFoundError struct {
	Namespace string
	// Name or Selector is what was asked for.
	Name, Selector string
	// Near are the names that resemble Name, best first; when none does,
	// some that exist.
	Near []string
	// Dev is true when a dev environment was asked for, not a workload.
	Dev bool
}

func (e *NotFoundError) Error() string {
	if e.Dev {
		msg := fmt.Sprintf("nothing is in development as %q in namespace %q", e.Name, e.Namespace)
		if len(e.Near) > 0 {
			msg += "; there is " + strings.Join(e.Near, ", ")
		}
		return msg
	}
	msg := fmt.Sprintf("no workload %q in namespace %q", e.Name, e.Namespace)
	if e.Selector != "" {
		msg = fmt.Sprintf("no workload with labels %q in namespace %q", e.Selector, e.Namespace)
	}
	if len(e.Near) > 0 {
		msg += "; there is " + strings.Join(e.Near, ", ")
	}
	return msg
}

// AmbiguousError means that a selector finds several workloads.
type AmbiguousError struct {
	Selector string
	// Names are the workloads as kind/name.
	Names []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d workloads have the labels %q: %s", len(e.Names), e.Selector, strings.Join(e.Names, ", "))
}

// MadeError means that a workload is another one's making, which would undo a
// swap.
type MadeError struct {
	// Workload is what was asked for, By the controller, as kind/name.
	Workload, By string
}

func (e *MadeError) Error() string {
	return fmt.Sprintf("%s belongs to %s, which decides about its pods", e.Workload, e.By)
}

// NamespaceError means that the namespace does not exist, or not much longer.
type NamespaceError struct {
	Namespace string
	// Ending is true while it is being deleted.
	Ending bool
}

func (e *NamespaceError) Error() string {
	if e.Ending {
		return fmt.Sprintf("namespace %q is being deleted, with all that is in it", e.Namespace)
	}
	return fmt.Sprintf("namespace %q does not exist", e.Namespace)
}

// Rule is what a Role must allow.
type Rule struct {
	Verb string
	// Group is the API group; empty is the core group.
	Group string
	// Resource is the plural, with its subresource: pods/exec.
	Resource  string
	Namespace string
}

func (r Rule) String() string {
	return fmt.Sprintf(`apiGroups: [%q], resources: [%q], verbs: [%q]`, r.Group, r.Resource, r.Verb)
}

// ForbiddenError means that RBAC lacks a rule.
type ForbiddenError struct {
	Rule Rule
	Err  error
}

func (e *ForbiddenError) Error() string {
	where := fmt.Sprintf("a Role in namespace %q", e.Rule.Namespace)
	if e.Rule.Namespace == "" {
		where = "a ClusterRole"
	}
	return fmt.Sprintf("you may not %s %s: %s has to allow {%s}", e.Rule.Verb, e.Rule.Resource, where, e.Rule)
}

func (e *ForbiddenError) Unwrap() error { return e.Err }

// Refusal is what refused an object or a pod.
type Refusal string

// The refusals.
const (
	RefusedQuota       Refusal = "quota"
	RefusedPodSecurity Refusal = "PodSecurity admission"
	RefusedLimitRange  Refusal = "LimitRange"
	RefusedWebhook     Refusal = "admission webhook"
	RefusedPolicy      Refusal = "admission policy"
	RefusedOther       Refusal = "API server"
)

// RefusedError means that admission refused an object or a pod.
type RefusedError struct {
	By Refusal
	// Message is the server's.
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused by the %s: %s", e.By, e.Message)
}

// ContainerError means that the workload has no such container.
type ContainerError struct {
	Workload, Container string
	// Containers are those that it has.
	Containers []string
}

func (e *ContainerError) Error() string {
	return fmt.Sprintf("%s has no container %q; it has %s", e.Workload, e.Container, strings.Join(e.Containers, ", "))
}

// MountError means that a path of the manifest is already a volume mount of
// the container, or would hide what the agent needs.
type MountError struct {
	Path string
	// Volume is the volume that is mounted there.
	Volume string
}

func (e *MountError) Error() string {
	return fmt.Sprintf("%q cannot be mounted in the dev container: volume %q is already mounted there", e.Path, e.Volume)
}

// ClaimError means that an existing claim differs from the manifest in a way
// that Kubernetes cannot change.
type ClaimError struct {
	Claim, Field string
	// Have is what the claim has, Want what the manifest asks for.
	Have, Want string
}

func (e *ClaimError) Error() string {
	return fmt.Sprintf("volume claim %q has %s %s, the manifest asks for %s: delete it with `down -v` or change the manifest",
		e.Claim, e.Field, e.Have, e.Want)
}

// InUseError means that the workload's clone belongs to another dev
// environment, or to another tool.
type InUseError struct {
	Workload string
	// Dev is the other environment; empty when another tool made the clone.
	Dev string
}

func (e *InUseError) Error() string {
	if e.Dev == "" {
		return fmt.Sprintf("%s has a clone that this plugin did not make: end it with the tool that made it", e.Workload)
	}
	return fmt.Sprintf("%s is already in development as %q: run `down %s` first", e.Workload, e.Dev, e.Dev)
}

// DataLossError means that scaling a StatefulSet down would delete its
// claims, and with them its data.
type DataLossError struct{ Workload string }

func (e *DataLossError) Error() string {
	return e.Workload + " deletes its volume claims when it scales down: " +
		"set persistentVolumeClaimRetentionPolicy.whenScaled to Retain first"
}

// VersionError means that the server is too old for native sidecars.
type VersionError struct{ Have string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the server runs Kubernetes %s, 1.29 or later is needed", e.Have)
}

// HeldError means that somebody else holds the dev environment.
type HeldError struct {
	Dev, Holder string
	// Since is when they acquired it.
	Since time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%q is held by %s since %s", e.Dev, e.Holder, e.Since.Local().Format(time.DateTime))
}

// TakenOverError means that the dev environment was lost to somebody else.
type TakenOverError struct {
	Dev string
	// By is the new holder; empty when they have finished meanwhile.
	By string
	// Ended is true when the environment was ended, as by `down`.
	Ended bool
}

func (e *TakenOverError) Error() string {
	switch {
	case e.Ended:
		return fmt.Sprintf("%q was ended meanwhile, by `down` or by autoDown", e.Dev)
	case e.By == "":
		return fmt.Sprintf("somebody took over %q, and has finished since", e.Dev)
	}
	return fmt.Sprintf("%s took over %q", e.By, e.Dev)
}

// PodError means that the dev pod cannot become what is waited for.
type PodError struct {
	Pod string
	// Container is empty when the pod as a whole is meant.
	Container string
	// Image is the image that cannot be pulled; empty otherwise.
	Image string
	// Reason is Kubernetes' own word: ImagePullBackOff, Unschedulable …
	Reason  string
	Message string
	// Logs are the container's last lines; empty when there are none.
	Logs string

	// crashed is true when the container ran, so that it may have logs; ran
	// when it had done what it starts with.
	crashed, ran bool
}

func (e *PodError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pod %s", e.Pod)
	if e.Container != "" {
		fmt.Fprintf(&b, ", container %s", e.Container)
	}
	fmt.Fprintf(&b, ": %s", e.Reason)
	if e.Image != "" {
		fmt.Fprintf(&b, " %q", e.Image)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Logs != "" {
		fmt.Fprintf(&b, "\n%s", strings.TrimRight(e.Logs, "\n"))
	}
	return b.String()
}

// GoneError means that the clone was deleted while its pod was awaited.
type GoneError struct{ Clone string }

func (e *GoneError) Error() string {
	return fmt.Sprintf("deployment/%s was deleted while waiting for its pod", e.Clone)
}

// TimeoutError means that the deadline passed.
type TimeoutError struct {
	After time.Duration
	// For is what was waited for.
	For string
	// Trouble is the last that went wrong; empty when nothing did.
	Trouble string
	// Blind tells that the pods could not be looked at any more, or never.
	Blind bool
}

func (e *TimeoutError) Error() string {
	msg := fmt.Sprintf("timed out after %s, %s", e.After, e.For)
	if e.Trouble != "" {
		msg += ": " + e.Trouble
	}
	return msg
}

// wrap says what was being done when an API call failed, and gives the errors
// that one can do something about their own types. rule names the call; name
// may be empty.
func (c *Client) wrap(err error, rule Rule, name string) error {
	if err == nil {
		return nil
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return &NamespaceError{Namespace: c.Namespace, Ending: true}
	}
	if msg := message(err); apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		if by := refusalOf(msg); by != RefusedOther {
			return &RefusedError{By: by, Message: msg}
		}
	}
	if forbidden := c.Forbidden(err, rule); forbidden != nil {
		return forbidden
	}
	what := rule.Resource
	if name != "" {
		what += " " + name
	}
	return fmt.Errorf("%s %s: %w", rule.Verb, what, err)
}

// Forbidden returns the ForbiddenError that a failed request means, also one
// that another package made, else nil. rule names the request.
func (c *Client) Forbidden(err error, rule Rule) error {
	// An upgraded connection, as exec's, fails with the words alone.
	if err == nil || !apierrors.IsForbidden(err) && !strings.Contains(message(err), "is forbidden: User ") {
		return nil
	}
	if rule.Namespace == "" && rule.Resource != "namespaces" {
		rule.Namespace = c.Namespace
	}
	return &ForbiddenError{Rule: refine(rule, message(err)), Err: err}
}

// message returns the server's own words.
func message(err error) string {
	var s apierrors.APIStatus
	if errors.As(err, &s) && s.Status().Message != "" {
		return s.Status().Message
	}
	return err.Error()
}

// refine takes the verb from RBAC's own message: an apply that has to create
// the object needs the verb create, not patch.
func refine(r Rule, msg string) Rule {
	if m := regexp.MustCompile(`cannot (\w+) resource "`).FindStringSubmatch(msg); m != nil {
		r.Verb = m[1]
	}
	return r
}

// refusalOf tells from the server's words what refused. They are no API, but
// the only thing there is; what is not known is RefusedOther.
func refusalOf(msg string) Refusal {
	switch {
	case strings.Contains(msg, "exceeded quota"), strings.Contains(msg, "failed quota"):
		return RefusedQuota
	case strings.Contains(msg, "violates PodSecurity"):
		return RefusedPodSecurity
	case strings.Contains(msg, "admission webhook"), strings.Contains(msg, "failed calling webhook"):
		return RefusedWebhook
	case strings.Contains(msg, "ValidatingAdmissionPolicy"):
		return RefusedPolicy
	case regexp.MustCompile(`(minimum|maximum) [\w./-]+ usage per|limit to request ratio`).MatchString(msg):
		return RefusedLimitRange
	}
	return RefusedOther
}

// The rules of this package's requests for what is no workload.
func core(verb, resource string) Rule {
	return Rule{Verb: verb, Resource: resource}
}
func leases(verb string) Rule {
	return Rule{Verb: verb, Group: "coordination.k8s.io", Resource: "leases"}
}
func roles(verb string) Rule {
	return Rule{Verb: verb, Group: rbacv1.GroupName, Resource: "roles"}
}
func bindings(verb string) Rule {
	return Rule{Verb: verb, Group: rbacv1.GroupName, Resource: "rolebindings"}
}
func cronJobs(verb string) Rule {
	return Rule{Verb: verb, Group: batchv1.GroupName, Resource: "cronjobs"}
}
