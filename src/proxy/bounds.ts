import { type ProxySettings, usualBounds } from "../app/proxy-settings.ts";

/** How far the traffic of one app may go. Times in ms, sizes in bytes; what is not limited is endless. */
export type Bounds = {
  connectMs: number;
  answerMs: number;
  streamIdleMs: number;
  maxBody: number;
  maxInFlight: number;
};

/** What an app has asked for, and for the rest what all of them have. */
export function boundsOf(settings: ProxySettings, answerMs: number): Bounds {
  const asked = { ...usualBounds, answerMs, ...settings };
  return {
    connectMs: asked.connectMs ?? usualBounds.connectMs,
    answerMs: asked.answerMs ?? answerMs,
    streamIdleMs: asked.streamIdleMs ?? Number.POSITIVE_INFINITY,
    maxBody: asked.maxBody ?? Number.POSITIVE_INFINITY,
    maxInFlight: asked.maxInFlight ?? Number.POSITIVE_INFINITY,
  };
}

/** Before it is known whose a request is. */
export const unbounded: Bounds = {
  connectMs: Number.POSITIVE_INFINITY,
  answerMs: Number.POSITIVE_INFINITY,
  streamIdleMs: Number.POSITIVE_INFINITY,
  maxBody: Number.POSITIVE_INFINITY,
  maxInFlight: Number.POSITIVE_INFINITY,
};
