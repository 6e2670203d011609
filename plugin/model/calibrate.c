#include "plugin/model/calibrate.h"

static bool plausible(double ratio)
{
    return ratio >= CALIBRATE_RATIO_MIN && ratio <= CALIBRATE_RATIO_MAX;
}

static double clamp(double ratio)
{
    return ratio < CALIBRATE_RATIO_MIN ? CALIBRATE_RATIO_MIN : ratio > CALIBRATE_RATIO_MAX ? CALIBRATE_RATIO_MAX : ratio;
}

/* The server's count / ours, 0 if that says nothing. */
static double compare(size_t counted, int64_t actual)
{
    if (counted < CALIBRATE_TOKENS_MIN || counted > CALIBRATE_TOKENS_MAX || actual <= 0 || actual > CALIBRATE_TOKENS_MAX)
        return 0;
    double ratio = (double)actual / (double)counted;
    return plausible(ratio) ? ratio : 0;
}

bool calibrate_learn(struct calibration *c, size_t counted, int64_t actual)
{
    double ratio = compare(counted, actual);
    if (ratio == 0)
        return false;
    double weight = c->ratio > 0 ? CALIBRATE_NEW_PERCENT / 100.0 : 1;
    c->ratio = (1 - weight) * c->ratio + weight * ratio;
    return true;
}

static int64_t context_of(const struct calibration *c, int64_t configured)
{
    if (configured <= 0)
        return c->context;
    return c->context > 0 && c->context < configured ? c->context : configured;
}

/* Tokens of the server's count that a request may have. An answer never gets
 * more than half: a max_tokens as large as the context is a wish, no plan. */
static double room(const struct calibration *c, int64_t context, int64_t max_output)
{
    int64_t output = max_output > 0 ? max_output : CALIBRATE_OUTPUT_TOKENS;
    double left = (double)context - (double)(output < context / 2 ? output : context / 2);
    return c->ratio > 0 ? left - (double)context * CALIBRATE_MARGIN_PERCENT / 100 : left;
}

size_t calibrate_budget(const struct calibration *c, int64_t configured, int64_t max_output)
{
    int64_t context = context_of(c, configured);
    if (context <= 0)
        return SIZE_MAX;
    return (size_t)(room(c, context, max_output) / (c->ratio > 0 ? c->ratio : CALIBRATE_SAFETY_PERCENT / 100.0));
}

struct calibration calibrate_joined(const struct calibration *model, const struct calibration *own)
{
    return (struct calibration){ .ratio = own && own->ratio > 0 ? own->ratio : model->ratio, .context = model->context };
}

int64_t calibrate_expect(const struct calibration *c, size_t counted)
{
    double bounded = counted > CALIBRATE_TOKENS_MAX ? (double)CALIBRATE_TOKENS_MAX : (double)counted;
    return (int64_t)(bounded * (c->ratio > 0 ? c->ratio : 1) + 0.5);
}

/* A context that the request is just too long for, as far as we know. */
static int64_t context_below(const struct calibration *c, size_t counted)
{
    int64_t context = calibrate_expect(c, counted) * 100 / CALIBRATE_OVERFLOW_PERCENT;
    return context > CALIBRATE_CONTEXT_MIN ? context : CALIBRATE_CONTEXT_MIN;
}

void calibrate_overflow(struct calibration *c, size_t counted, int64_t used, int64_t max, int64_t configured,
                        int64_t max_output)
{
    if (max >= CALIBRATE_CONTEXT_MIN && max <= CALIBRATE_TOKENS_MAX)
        c->context = max;
    double ratio = compare(counted, used);
    if (ratio > 0)
        c->ratio = ratio; /* the truth on just the conversation that matters now */
    if (counted == 0)
        return;

    /* Where the error said too little, or what cannot be, we only know that it was too long. */
    if (context_of(c, configured) <= 0)
        c->context = context_below(c, counted);
    if (calibrate_budget(c, configured, max_output) >= counted)
        c->ratio = clamp(room(c, context_of(c, configured), max_output) / (double)counted *
                         CALIBRATE_OVERFLOW_PERCENT / 100);
    if (calibrate_budget(c, configured, max_output) >= counted)
        c->context = context_below(c, counted);
}
