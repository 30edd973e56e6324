/** Why a command is not allowed, as the end of a sentence that begins with it. */
export type Refusal = { refused: string };

export const refuse = (why: string): Refusal => ({ refused: why });
