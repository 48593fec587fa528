package workload

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// desk is one laptop: who asks for the dev environment api.
type desk struct {
	*Client
	t *testing.T
}

func (d desk) acquire(who Claimant) (*Lease, error) {
	d.t.Helper()
	who.Dev = "api"
	f, err := d.Find(d.t.Context(), Query{Name: "api", Dev: "api"})
	if err != nil {
		d.t.Fatal(err)
	}
	return d.Acquire(d.t.Context(), f, who)
}

func (d desk) lease() *coordinationv1.Lease {
	d.t.Helper()
	l, err := d.Kube.CoordinationV1().Leases(testNamespace).Get(d.t.Context(), "api-okteto", metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return l
}

func newDesk(t *testing.T) desk {
	c, kube := newClient(t, testDeployment("api"))
	c.Now = time.Now
	kube.PrependReactor("*", "leases", versions(kube))
	return desk{c, t}
}

// versions gives Leases resource versions, which the in-memory API server
// does not, and refuses a patch that was made for another.
func versions(kube *fake.Clientset) clienttesting.ReactionFunc {
	version := 1
	return func(a clienttesting.Action) (bool, runtime.Object, error) {
		switch a := a.(type) {
		case clienttesting.CreateActionImpl:
			a.Object.(*coordinationv1.Lease).ResourceVersion = strconv.Itoa(version)
		case clienttesting.PatchActionImpl:
			var patch map[string]any
			if err := json.Unmarshal(a.Patch, &patch); err != nil {
				return true, nil, err
			}
			md := patch["metadata"].(map[string]any)
			if of, named := md["resourceVersion"]; named && of != strconv.Itoa(version) {
				return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, a.Name, errors.New("changed"))
			}
			version++
			md["resourceVersion"] = strconv.Itoa(version)
			a.Patch, _ = json.Marshal(patch)
			return clienttesting.ObjectReaction(kube.Tracker())(a)
		}
		return false, nil, nil
	}
}

func TestLeaseIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		start := time.Now()
		ann, err := d.acquire(Claimant{Holder: "ann@laptop/1", Forwards: []string{"8080:80", "9229:9229"}})
		if err != nil || ann.Unavailable != nil {
			t.Fatalf("%+v, %v", ann, err)
		}
		l := d.lease()
		if l.OwnerReferences[0].Name != "api" || *l.Spec.LeaseDurationSeconds != leaseSeconds || l.Annotations[AnnotationForwards] != `["8080:80","9229:9229"]` {
			t.Errorf("lease %+v", l)
		}
		<-time.After(10 * time.Second)
		var held *HeldError
		if _, err := d.acquire(Claimant{Holder: "bob@desk/2"}); !errors.As(err, &held) || held.Holder != "ann@laptop/1" || !held.Since.Equal(start) {
			t.Errorf("error %v", err)
		}
		if _, err := d.acquire(Claimant{Holder: "ann@laptop/1"}); err != nil {
			t.Errorf("the same session again: %v", err)
		}
		<-time.After(leaseSeconds*time.Second + 1)
		if _, err := d.acquire(Claimant{Holder: "bob@desk/2"}); err != nil {
			t.Errorf("after it expired: %v", err)
		}
	})
}

func TestLeaseIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ann, err := d.acquire(Claimant{Holder: "ann@laptop/1"})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- ann.Renew(t.Context()) }()
		<-time.After(time.Hour)
		if l := d.lease(); expired(l, time.Now()) {
			t.Errorf("not renewed since %s", l.Spec.RenewTime)
		}
		bob, err := d.acquire(Claimant{Holder: "bob@desk/2", TakeOver: true, Forwards: []string{"1:2"}})
		if err != nil {
			t.Fatal(err)
		}
		var lost *TakenOverError
		if err := <-ended; !errors.As(err, &lost) || lost.By != "bob@desk/2" {
			t.Errorf("error %v", err)
		}
		if err := ann.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if got := *d.lease().Spec.HolderIdentity; got != "bob@desk/2" {
			t.Errorf("holder %s", got)
		}
		if err := bob.Release(t.Context()); err != nil {
			t.Error(err)
		}
		l := d.lease()
		if deref(l.Spec.HolderIdentity, "") != "" || l.Spec.AcquireTime == nil || l.Annotations[AnnotationForwards] != "" {
			t.Errorf("released %+v", l)
		}
		if _, err := d.acquire(Claimant{Holder: "ann@laptop/3"}); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

func TestLeaseIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ann, err := d.acquire(Claimant{Holder: "ann@laptop/1"})
		if err != nil {
			t.Fatal(err)
		}
		if done, err := d.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil || !done[0].Lease {
			t.Fatalf("restored %+v, %v", done, err)
		}
		var lost *TakenOverError
		if err := ann.Renew(t.Context()); !errors.As(err, &lost) || !lost.Ended {
			t.Errorf("error %v", err)
		}
	})
}

// TestLeaseOutlivesTheConnection checks that a server which is away does not
// end a session.
func TestLeaseOutlivesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ann, err := d.acquire(Claimant{Holder: "ann@laptop/1"})
		if err != nil {
			t.Fatal(err)
		}
		back := time.Now().Add(10 * time.Minute)
		d.fake().PrependReactor("patch", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return time.Now().Before(back), nil, errors.New("connection refused")
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := ann.Renew(ctx); err != nil {
			t.Error(err)
		}
		if expired(d.lease(), time.Now()) {
			t.Error("not renewed after the server was back")
		}
	})
}

// TestLeaseIsAskedForUntilSomebodyAnswers looks after a Lease through an outage in
// which somebody else takes it.
func TestLeaseIsAskedForUntilSomebodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		mine, err := d.acquire(Claimant{Holder: "me@laptop/1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.acquire(Claimant{Holder: "you@laptop/2", TakeOver: true}); err != nil {
			t.Fatal(err)
		}
		over := time.Now().Add(time.Minute)
		d.fake().PrependReactor("get", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			if time.Now().Before(over) {
				return true, nil, &url.Error{Op: "Get", URL: "/", Err: errHungUp}
			}
			return false, nil, nil
		})
		var taken *TakenOverError
		if err := mine.Check(t.Context()); !errors.As(err, &taken) {
			t.Errorf("the check ended with %v", err)
		}
		if late := time.Since(over); late < 0 || late > time.Second {
			t.Errorf("it ended %v after the outage", late)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		over = time.Now().Add(time.Hour)
		if err := mine.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a check that is given up ended with %v", err)
		}
	})
}

func TestLeaseWithoutRights(t *testing.T) {
	for _, verbs := range [][]string{{"get", "create", "patch"}, {"patch"}, {"create"}} {
		d := newDesk(t)
		if _, err := d.acquire(Claimant{Holder: "bob@desk/2"}); err != nil {
			t.Fatal(err)
		}
		d.fake().PrependReactor("*", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
			return slices.Contains(verbs, a.GetVerb()), nil, apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "", errors.New("no"))
		})
		l, err := d.acquire(Claimant{Holder: "ann@laptop/1", TakeOver: true})
		var f *ForbiddenError
		if err != nil {
			t.Errorf("without %v: %v", verbs, err)
			continue
		}
		if slices.Contains(verbs, "patch") && !errors.As(l.Unavailable, &f) {
			t.Errorf("without %v: %+v", verbs, l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := errors.Join(l.Renew(ctx), l.Release(t.Context())); l.Unavailable != nil && err != nil {
			t.Errorf("without %v: %v", verbs, err)
		}
	}
}

func (d desk) fake() *clienttesting.Fake { return &d.Kube.(*fake.Clientset).Fake }
