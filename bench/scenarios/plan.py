# SPDX-License-Identifier: Apache-2.0
"""Who asks what, and when: the plan that users.c plays. The same dice each time, so that all
targets get the same requests at the same moments."""
import bisect
import itertools
import random

TARGET, SERVER = 0, 1  # a user's way: through what is measured, or around it
SEED = 20150309


class Course:
    """How many are there over the time of a run: few, a rise, many, and a fall. In seconds."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.rise, self.peak = seconds * 0.2, seconds * 0.32
        self.fall, self.rest = seconds * 0.84, seconds * 0.92

    def in_peak(self, at_s):
        return self.peak <= at_s < self.fall


class Zipf:
    """Ranks 0 to count-1, of which the first ones come often."""

    def __init__(self, dice, count, exponent):
        self.dice = dice
        self.sums = list(itertools.accumulate((n + 1) ** -exponent for n in range(count)))

    def draw(self):
        return bisect.bisect_left(self.sums, self.dice.random() * self.sums[-1])


class Plan:
    def __init__(self, seconds, share=1):
        self.course = Course(seconds)
        self.share = share  # of the people who would come
        self.dice = random.Random(SEED)
        self.users = []     # (way, preamble)
        self.requests = []  # (at_s, order, user, kind, statements)

    def user(self, preamble="", way=TARGET):
        self.users.append((way, preamble))
        return len(self.users) - 1

    def ask(self, at_s, user, kind, *statements):
        self.requests.append((at_s, len(self.requests), user, kind, statements))

    def visits(self, quiet, peak, pause_s):
        """Yields (number of the visitor, [times of the requests]) for so many people at the quiet
        time and at the peak; each asks about every `pause_s`. Numbers begin with 0."""
        course = self.course
        for number in range(int(peak * self.share)):
            begin, end = 0.0, course.seconds
            if number >= quiet * self.share:
                begin = self.dice.uniform(course.rise, course.peak)
                end = self.dice.uniform(course.fall, course.rest)
            times, at = [], begin + self.dice.uniform(0, pause_s)
            while at < end:
                times.append(at)
                at += self.dice.uniform(0.5, 1.5) * pause_s
            if times:
                yield number, times

    def every(self, period_s):
        """Regular moments over the whole run."""
        count = int(self.course.seconds / period_s)
        return [(n + 0.5) * period_s for n in range(count)]

    def repeated_percent(self):
        """Of the reads, those that had been asked before, word by word and with the same preamble:
        no cache of answers can answer more than these."""
        seen, reads, again = set(), 0, 0
        for _, _, user, _, statements in sorted(self.requests):
            if statements[-1].startswith("SELECT"):
                asked = (self.users[user][1], statements[-1])
                reads, again = reads + 1, again + (asked in seen)
                seen.add(asked)
        return 100 * again / reads

    def text(self):
        lines = [f"S\t{number}\t{way}\t{preamble}\n"
                 for number, (way, preamble) in enumerate(self.users)]
        for at_s, _, user, kind, statements in sorted(self.requests):
            lines.append("\t".join(("R", str(int(at_s * 1e6)), str(user), kind) + statements))
            lines.append("\n")
        return "".join(lines)
