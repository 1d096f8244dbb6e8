"use strict";
// Statistics that depend on what a reader chooses; all others come from the tables. Needs nothing of the page.
const Stats = {
  // The two-sided p of the exact McNemar test, from each cluster's (positive first only) − (positive second only):
  // where no cluster differs by more than one the binomial test, otherwise the exact sign-flip test on clusters.
  mcnemar(differences) {
    const sizes = differences.map(Math.abs).filter((size) => size > 0);
    if (!sizes.length) return 1;
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const seen = Math.abs(differences.reduce((sum, size) => sum + size, 0));
    // Chances of the sum of ±sizes; place i is the sum i − total.
    let chance = new Float64Array(2 * total + 1);
    chance[total] = 1;
    let reach = 0;
    for (const size of sizes) {
      const next = new Float64Array(chance.length);
      for (let place = total - reach; place <= total + reach; place++) {
        next[place - size] += chance[place] / 2;
        next[place + size] += chance[place] / 2;
      }
      reach += size;
      chance = next;
    }
    let p = 0;
    for (let place = 0; place < chance.length; place++) if (Math.abs(place - total) >= seen) p += chance[place];
    return Math.min(1, p);
  },
};
