// Elector is an independent client-go leader election on one Lease. The end-to-end tests let it and our own elector
// take the Lease from each other, which shows that both write and judge the same record.
//
// It prints one line per change: "leading", "observed <holder>" and "stopped". SIGTERM and SIGINT end it; with
// -release the Lease is given up on the way out.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type options struct {
	kubeconfig, namespace, lease, identity string
	duration, deadline, retry              time.Duration
	release                                bool
}

func parse() options {
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (required)")
	flag.StringVar(&o.namespace, "namespace", "default", "namespace of the Lease")
	flag.StringVar(&o.lease, "lease", "", "name of the Lease (required)")
	flag.StringVar(&o.identity, "identity", "", "holder identity (required)")
	flag.DurationVar(&o.duration, "lease-duration", 15*time.Second, "how long a record is honoured")
	flag.DurationVar(&o.deadline, "renew-deadline", 10*time.Second, "how long a leader tries to renew")
	flag.DurationVar(&o.retry, "retry-period", 5*time.Second, "time between tries")
	flag.BoolVar(&o.release, "release", false, "give the Lease up at the end")
	flag.Parse()
	return o
}

func run(o options) error {
	if o.kubeconfig == "" || o.lease == "" || o.identity == "" {
		return fmt.Errorf("--kubeconfig, --lease and --identity are required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.namespace, Name: o.lease},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: o.identity},
		},
		LeaseDuration:   o.duration,
		RenewDeadline:   o.deadline,
		RetryPeriod:     o.retry,
		ReleaseOnCancel: o.release,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				fmt.Println("leading")
				<-ctx.Done()
			},
			OnStoppedLeading: func() { fmt.Println("stopped") },
			OnNewLeader:      func(holder string) { fmt.Println("observed", holder) },
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	return nil
}

func main() {
	if err := run(parse()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
